"""One timer for all time-outs of a worker: a heap of deadlines instead of a timer a job."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

Expired = Callable[[], None]


class Deadlines:
    """Calls back when a deadline passes; a cancelled one is skipped when its turn comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Expired]] = []
        self._order = itertools.count()
        self._cancelled: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, seconds: float, expired: Expired) -> int:
        """Call ``expired`` in so many seconds; returns a ticket for ``cancel``."""
        ticket = next(self._order)
        heapq.heappush(self._heap, (self._loop.time() + seconds, ticket, expired))
        if self._heap[0][1] == ticket:
            self._set_timer()
        return ticket

    def cancel(self, ticket: int) -> None:
        self._cancelled.add(ticket)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()

    def _fire(self) -> None:
        now = self._loop.time()
        while self._heap and (self._heap[0][0] <= now or self._heap[0][1] in self._cancelled):
            _, ticket, expired = heapq.heappop(self._heap)
            if ticket in self._cancelled:
                self._cancelled.discard(ticket)
            else:
                expired()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heap[0][0], self._fire) if self._heap else None
