"""Ends an async connection whose statement takes too long: one timer a connection.

A timer for each statement, as asyncpg would set it, costs as much as a tenth of storing a job. Here
the one that is set looks, when it goes off, at which statement is under way by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

STATEMENT_SECONDS = 60.0
"""A statement that takes longer counts as a lost connection: nothing of ours takes that long."""


class Overdue:
    """Calls ``end`` when one statement has been under way for ``STATEMENT_SECONDS``."""

    __slots__ = ("_end", "_loop", "_since", "_timer")

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """A statement is sent now, the first or the next."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(STATEMENT_SECONDS, self._look)

    def rest(self) -> None:
        """Nothing is under way; the timer finds that out when it goes off."""
        self._since = None

    def _look(self) -> None:
        self._timer = None
        if self._since is None:
            return
        due = self._since + STATEMENT_SECONDS
        if due > self._loop.time():
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._end()
