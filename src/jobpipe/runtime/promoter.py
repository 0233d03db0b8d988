"""Queues jobs whose time has come, and ends those whose time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from jobpipe.delivery.hub import Hint
from jobpipe.failpoint import failpoint
from jobpipe.model.job import Lane
from jobpipe.store.ops import upkeep
from jobpipe.store.ops.claim import Queued
from jobpipe.store.port import AsyncStore

PROMOTE_MAX = 1_000
LOCKED_SECONDS = 0.05
"""Pause when what is due is locked: another worker moves it just now."""

LAG_US = 1_000_000
"""How far behind the last look the next one starts: catches transactions that committed late."""

FULL_SHARE = 0.02
"""Largest share of the time for looks that start from the beginning, which miss nothing."""


class Promoter:
    """Sleeps until the earliest time it knows of, but never longer than the poll."""

    def __init__(
        self, store: AsyncStore, poll_seconds: float, ring: Callable[[Hint], None]
    ) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._ring = ring
        self._due_at = float("inf")
        self._turn = asyncio.Lock()
        self._since = 0
        self._full_at = float("-inf")

    def note(self, due_in_us: int) -> bool:
        """Remember that something falls due; tell whether that is earlier than known so far."""
        at = time.monotonic() + due_in_us / 1e6
        earlier = at < self._due_at
        self._due_at = min(at, self._due_at)
        return earlier

    async def once(self) -> float:
        """Move what is due; return the seconds until the next look."""
        async with self._turn:
            return await self._look()

    async def _look(self) -> float:
        began = time.monotonic()
        since = 0 if began >= self._full_at else self._since
        self._due_at = float("inf")
        due = await self._store.run(upkeep.next_due(since))
        if due.in_us is not None and due.in_us <= 0:
            return await self._move(since)
        self._since = due.now - LAG_US
        if not since:
            ended = time.monotonic()
            self._full_at = ended + max(self._poll_seconds, (ended - began) / FULL_SHARE)
        if due.in_us is not None:
            self.note(due.in_us)
        left = self._due_at - time.monotonic()
        return min(max(left, 0.001), self._poll_seconds)

    async def _move(self, since: int) -> float:
        failpoint("promote.before")
        moved = await self._store.run(upkeep.promote(PROMOTE_MAX, since))
        expired = await self._store.run(upkeep.expire(PROMOTE_MAX, since))
        if moved:
            self._ring(hint_of(moved))
        return 0.0 if moved or expired else LOCKED_SECONDS


def hint_of(queued: list[Queued]) -> Hint:
    """Return the hint that these jobs were queued: per lane the lowest rank."""
    lanes: dict[Lane, int] = {}
    for job in queued:
        lanes[job.lane] = min(job.rank, lanes.get(job.lane, job.rank))
    return Hint(lanes=lanes)
