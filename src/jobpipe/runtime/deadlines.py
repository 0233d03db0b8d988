"""One timer for all time-outs of a worker: a heap of deadlines instead of a timer a job."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

Expired = Callable[[], None]

SPARE = 1_000
"""Cancelled entries that may stay in the heap before it is built anew."""


class Deadlines:
    """Calls back when a deadline passes; a cancelled one is forgotten at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int]] = []
        self._open: dict[int, Expired] = {}
        self._tickets = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, seconds: float, expired: Expired) -> int:
        """Call ``expired`` in so many seconds; returns a ticket for ``cancel``."""
        ticket = next(self._tickets)
        self._open[ticket] = expired
        heapq.heappush(self._heap, (self._loop.time() + seconds, ticket))
        if self._heap[0][1] == ticket:
            self._set_timer()
        return ticket

    def cancel(self, ticket: int) -> None:
        """Forget a deadline; one that has passed is fine."""
        self._open.pop(ticket, None)
        if len(self._heap) > 2 * len(self._open) + SPARE:
            self._heap = [entry for entry in self._heap if entry[1] in self._open]
            heapq.heapify(self._heap)

    def close(self) -> None:
        """Forget all deadlines."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()
        self._open.clear()

    def _fire(self) -> None:
        now = self._loop.time()
        while self._heap and (self._heap[0][0] <= now or self._heap[0][1] not in self._open):
            expired = self._open.pop(heapq.heappop(self._heap)[1], None)
            if expired is not None:
                expired()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heap[0][0], self._fire) if self._heap else None
