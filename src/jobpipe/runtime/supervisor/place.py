"""One of the places for worker processes: who serves in it, who follows, who is leaving it.

A successor loads the application while the one before it still works, and waits until that one
takes no more jobs; so a place is served without a gap, and never by two that take jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from jobpipe.runtime.supervisor.messages import EXHAUSTED
from jobpipe.runtime.supervisor.process import ChildProcess, Death
from jobpipe.telemetry.events import ChildReplaced, emit

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Bounds of the wait before a process that died idle is replaced, in seconds."""

LONG_LIFE_SECONDS = 10.0
"""After so long in service a death is no sign of a fault that will come again at once."""

BEGINNINGS_MAX = 7
"""How often in a row a process may fail to begin in a burst; otherwise it is tried for ever."""

MEGABYTE = 1024 * 1024


class Host(Protocol):
    """What a place needs of its supervisor."""

    is_quiet: bool
    is_stopping: bool
    is_burst: bool

    def start(self, place: Place, *, quiet: bool) -> ChildProcess | None:
        """Start a process; None when that is not possible now."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> None: ...


class Place:
    """A place that is always served, until its host stops or (burst) nothing is left to do."""

    def __init__(self, host: Host, name: str) -> None:
        self.name = name
        self.serving: ChildProcess | None = None
        self.successor: ChildProcess | None = None
        self.is_closed = False
        """Nothing is left to do here, or nobody can do it."""
        self.code = 0
        """The exit code of the last one who could not, in a burst."""
        self._host = host
        self._leaving: set[ChildProcess] = set()
        self._why = ""
        self._is_renewing = False
        self._pause = SHORTEST_PAUSE
        self._failures = 0

    @property
    def is_served(self) -> bool:
        return self.serving is not None and self.serving.is_working

    def fill(self) -> None:
        """Have somebody serve."""
        if self.serving is None and not self._host.is_stopping and not self.is_closed:
            self.serving = self._host.start(self, quiet=self._host.is_quiet)
            if self.serving is None:
                self._host.later(self._longer_pause(), self.fill)
            else:
                self._tell_replaced(self.serving)

    def ready(self, child: ChildProcess) -> None:
        """A process has begun to work; if it is to take over, the one before it retires."""
        if child is self.successor and self._is_renewing and self.serving is not None:
            self.serving.retire()

    def prepare(self) -> None:
        """Have a successor get ready."""
        if self.successor is None and self.serving and not self._host.is_stopping:
            self.successor = self._host.start(self, quiet=True)
            if self.successor is None:
                self._host.later(self._longer_pause(), self.prepare)

    def renew_if_due(self, max_seconds: float | None, max_megabytes: int | None) -> None:
        """Replace who serves when it is too old or too large."""
        child = self.serving
        if child is None or not child.is_ready:
            return
        age = time.monotonic() - (child.ready_at or child.began)
        if max_seconds is not None and age >= max_seconds:
            self.renew(f"it is {age:.0f} s old")
        elif max_megabytes is not None:
            megabytes = child.memory_bytes() // MEGABYTE
            if megabytes >= max_megabytes:
                self.renew(f"it holds {megabytes} MB of memory")

    def renew(self, why: str) -> None:
        """Replace who serves as soon as a successor is ready."""
        if not self._is_renewing:
            self._is_renewing, self._why = True, why
            self.prepare()
            if self.successor is not None and self.successor.is_ready:
                self.ready(self.successor)

    def retiring(self, child: ChildProcess) -> None:
        """Who served takes no more jobs: the successor does from now on."""
        if child is not self.serving or self._host.is_stopping:
            return
        self._leaving.add(child)
        self._why = self._why or "it retires"
        self._succeed()

    def ended(self, child: ChildProcess, death: Death, *, was_working: bool) -> None:
        """A process of this place is gone."""
        if child in self._leaving:
            self._leaving.discard(child)
        elif child is self.successor:
            self.successor = None
            if self.serving is not None:
                self._host.later(self._next_pause(child), self.prepare)
        elif child is self.serving:
            self.serving = None
            self._failures = self._failures + 1 if child.ready_at is None else 0
            if self._host.is_burst and (death.code == 0 or self._failures >= BEGINNINGS_MAX):
                self.code = death.exit_code
                self._close()
                return
            self._why = self._why or child.killed_for or death.cause
            at_once = was_working or self.successor is not None or death.code == EXHAUSTED
            self._host.later(0.0 if at_once else self._next_pause(child), self._succeed)

    def _succeed(self) -> None:
        self._is_renewing = False
        successor, self.serving, self.successor = self.successor, None, None
        if successor is None:
            self.fill()
        else:
            self.serving = successor
            successor.quiet(self._host.is_quiet)
            self._tell_replaced(successor)

    def _close(self) -> None:
        self.is_closed = True
        if self.successor is not None:
            self.successor.stop()

    def _tell_replaced(self, child: ChildProcess) -> None:
        if self._why:
            emit(ChildReplaced(worker=self.name, pid=child.pid, why=self._why))
        self._why = ""

    def _next_pause(self, child: ChildProcess) -> float:
        lived = 0.0 if child.ready_at is None else time.monotonic() - child.ready_at
        if lived >= LONG_LIFE_SECONDS:
            self._pause = SHORTEST_PAUSE
        return self._longer_pause()

    def _longer_pause(self) -> float:
        pause = self._pause
        self._pause = min(pause * 2, LONGEST_PAUSE)
        return pause
