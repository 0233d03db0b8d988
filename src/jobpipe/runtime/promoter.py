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
        self._due_at = float("inf")
        due = await self._store.run(upkeep.next_due())
        if due is not None and due <= 0:
            failpoint("promote.before")
            moved = await self._store.run(upkeep.promote(PROMOTE_MAX))
            expired = await self._store.run(upkeep.expire(PROMOTE_MAX))
            if moved:
                self._ring(hint_of(moved))
            if moved or expired:
                return 0.0
        if due is not None:
            self.note(max(due, 0))
        left = self._due_at - time.monotonic()
        return min(max(left, 0.001), self._poll_seconds)


def hint_of(queued: list[Queued]) -> Hint:
    """Return the hint that these jobs were queued: per lane the lowest rank."""
    lanes: dict[Lane, int] = {}
    for job in queued:
        lanes[job.lane] = min(job.rank, lanes.get(job.lane, job.rank))
    return Hint(lanes=lanes)
