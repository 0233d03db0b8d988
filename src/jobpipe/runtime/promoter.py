"""Queues jobs whose time has come, and ends those whose time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from jobpipe.failpoint import failpoint
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops import upkeep
from jobpipe.store.ops.worker import Due
from jobpipe.store.port import AsyncStore

PROMOTE_MAX = 1_000
LOCKED_SECONDS = 0.05
"""Pause when what is due is locked: another worker moves it just now."""

LAG_US = 1_000_000
"""How far behind the last look the next one starts: catches transactions that committed late."""

FULL_SHARE = 0.02
"""Largest share of the time for looks that start from the beginning, which miss nothing."""


class Promoter:
    """Sleeps until the earliest time it knows of: from the worker's last look, or from a hint."""

    def __init__(
        self,
        store: AsyncStore,
        poll_seconds: float,
        telling: Telling,
        look_in: Callable[[float], None],
    ) -> None:
        """``look_in`` asks for a look in so many seconds."""
        self._store = store
        self._poll_seconds = poll_seconds
        self._telling = telling
        self._look_in = look_in
        self._due_at = float("inf")
        self._told_at = float("inf")
        """The same of what was told since a look was last asked for."""
        self._turn = asyncio.Lock()
        self._since = 0
        self._full_at = float("-inf")

    def note(self, due_in_us: int) -> bool:
        """Remember that something falls due; tell whether that is earlier than known so far."""
        at = time.monotonic() + due_in_us / 1e6
        earlier = at < self._due_at
        self._due_at = min(at, self._due_at)
        self._told_at = min(at, self._told_at)
        return earlier

    def ask(self) -> int:
        """Return from which time on a look is to tell what falls due.

        What is known stays known until the answer comes, which may be older than what is told
        meanwhile.
        """
        self._told_at = float("inf")
        return 0 if time.monotonic() >= self._full_at else self._since

    def answered(self, since: int, due: Due, took_seconds: float) -> bool:
        """Take over what a look has told; tell whether something falls due."""
        self._due_at = self._told_at
        if due.in_us is not None and due.in_us <= 0:
            self._since = since  # to be moved from where it was seen
        else:
            self._since = due.now - LAG_US
            if not since:
                pause = max(self._poll_seconds, took_seconds / FULL_SHARE)
                self._full_at = time.monotonic() + pause
        return due.in_us is not None and self.note(due.in_us)

    async def once(self) -> float | None:
        """Move what is due; return the seconds until something is, None if nothing is known."""
        async with self._turn:
            left = self._due_at - time.monotonic()
            if left == float("inf"):
                return None
            if left > 0:
                return max(left, 0.001)
            try:
                return await self._move()
            except BaseException:
                self.note(0)  # it is due still
                raise

    async def _move(self) -> float | None:
        self._due_at = self._told_at = float("inf")
        failpoint("promote.before")
        moved = await self._store.run(upkeep.promote(PROMOTE_MAX, self._since))
        expired = await self._store.run(upkeep.expire(PROMOTE_MAX, self._since))
        self._telling.queued(moved.queued, [*moved.ended, *expired])
        if moved.blocked:
            self._telling.came_to_gates()
        n = len(moved.queued) + len(moved.ended) + moved.blocked
        if PROMOTE_MAX in (n, len(expired)):
            self.note(0)
            return 0.0
        self._look_in(0.0 if n or expired else LOCKED_SECONDS)
        return None
