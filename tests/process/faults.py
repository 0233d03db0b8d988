"""Faults of a worker's surroundings, which sound code survives and a planted bug does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jobpipe import bootstrap
from jobpipe.errors import StoreUnavailable
from jobpipe.runtime.heartbeat import Heartbeat
from jobpipe.runtime.options import WorkerKit
from jobpipe.runtime.turnover import Turnover
from jobpipe.store.port import AsyncStore, Operation


class FirstBreaks:
    """A store whose connection breaks at the first operation of a name: before it is sent, or
    after."""

    def __init__(self, store: AsyncStore, name: str, *, after: bool) -> None:
        self._store, self._name, self._after, self._done = store, name, after, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def run(self, operation: Operation[Any]) -> Any:
        """Run the operation; the first of the name ends in StoreUnavailable."""
        if operation.name != self._name or self._done:
            return await self._store.run(operation)
        self._done = True
        if self._after:
            await self._store.run(operation)
        raise StoreUnavailable("the connection broke", outcome_unknown=self._after)


def break_first(name: str, *, after: bool) -> None:
    """Break the connection over which outcomes are written."""
    begin = Turnover.__init__

    def begin_on_broken(self: Turnover, store: AsyncStore, *rest: Any, **named: Any) -> None:
        begin(self, FirstBreaks(store, name, after=after), *rest, **named)

    Turnover.__init__ = begin_on_broken  # type: ignore[method-assign]


def deaf() -> None:
    """No hint from another process arrives."""
    connect = bootstrap.connect

    def connect_deaf(*args: Any, **named: Any) -> bootstrap.Backend:
        backend = connect(*args, **named)

        def kit(*given: Any) -> WorkerKit:
            return replace(backend.worker_kit(*given), ears=None)

        return replace(backend, worker_kit=kit)

    bootstrap.connect = connect_deaf


def clock_a_day_ahead() -> None:
    """The machine's wall clock is wrong by a day; the monotonic clock is not."""
    ns, seconds = time.time_ns, time.time
    time.time_ns = lambda: ns() + 86_400 * 10**9
    time.time = lambda: seconds() + 86_400


def numb() -> None:
    """The heartbeat neither renews nor hears of anything: the worker believes in its lease."""

    def believe(self: Heartbeat, interval: float) -> bool:
        return True

    Heartbeat._renew = believe  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    "finish_not_sent": lambda: break_first("finish", after=False),
    "finish_unanswered": lambda: break_first("finish", after=True),
    "turn_over_not_sent": lambda: break_first("turn_over", after=False),
    "turn_over_unanswered": lambda: break_first("turn_over", after=True),
    "deaf": deaf,
    "numb": numb,
    "clock_a_day_ahead": clock_a_day_ahead,
}
