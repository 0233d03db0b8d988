"""Lets blocked jobs in whose gates are open."""

from __future__ import annotations

import time

from jobpipe.failpoint import failpoint
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops import admit as ops
from jobpipe.store.port import AsyncStore

BUSY_SECONDS = 0.005
"""Pause when another worker admits just now: it may have begun before the last news."""


class Admitter:
    """Does rounds until there is nothing to look at; then waits for the next news, or until the
    time of a gate comes."""

    def __init__(self, store: AsyncStore, telling: Telling) -> None:
        self._store = store
        self._telling = telling
        self._gate_at = float("inf")

    def note(self, gate_in_us: int | None) -> bool:
        """Tell whether a gate's time, which a look has told, comes sooner than known so far."""
        return gate_in_us is not None and time.monotonic() + gate_in_us / 1e6 < self._gate_at

    async def once(self) -> float | None:
        """Do one round; return the seconds until the next, None if nothing is known."""
        failpoint("admit.before")
        round_ = await self._store.run(ops.admit())
        if round_ is None:
            return BUSY_SECONDS
        self._telling.queued(round_.queued, round_.ended)
        if round_.is_scheduled:
            self._telling.timed()
        pause = None if round_.next_in_us is None else max(0.0, round_.next_in_us / 1e6)
        self._gate_at = float("inf") if pause is None else time.monotonic() + pause
        return 0.0 if round_.more else pause
