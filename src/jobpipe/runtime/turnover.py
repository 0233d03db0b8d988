"""Writes how attempts ended, and lets those go on in the same transaction who waited for that."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobpipe.errors import JobpipeError
from jobpipe.model.job import Finish
from jobpipe.runtime.claimer import Claimer
from jobpipe.runtime.upkeep import Upkeep
from jobpipe.store.ops.finish import Finished, finish
from jobpipe.store.ops.turn_over import turn_over
from jobpipe.store.port import AsyncStore


class Turnover:
    """Looks whether anybody minded the outcomes before: then somebody will mind the next, too.

    Others cost one statement and one commit, as if there were no gates.
    """

    def __init__(
        self, store: AsyncStore, upkeep: Upkeep, claimer: Claimer, max_payload: int
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._claimer = claimer
        self._max_payload = max_payload
        self._is_minded = False

    async def write(self, outcomes: Sequence[Finish]) -> list[Finished]:
        """Write outcomes; returns those that the store took. Raises StoreUnavailable."""
        if self._is_minded:
            try:
                return await self._turn_over(outcomes)
            except JobpipeError:
                raise
            except Exception:  # the round may be at fault: its own duty tells of that
                self._is_minded = False
        finished = await self._store.run(finish(outcomes, time.monotonic_ns()))
        self._is_minded = any(end.marked for end in finished)
        if self._is_minded:
            self._upkeep.admit()
        return finished

    async def _turn_over(self, outcomes: Sequence[Finish]) -> list[Finished]:
        bid = self._claimer.bid()
        began, since = time.monotonic(), self._upkeep.ask_for_round()
        asked = turn_over(outcomes, time.monotonic_ns(), since, self._max_payload, bid)
        try:
            over = await self._store.run(asked)
        except BaseException:
            if bid is not None:
                self._claimer.lost(bid)
            raise
        self._is_minded = any(end.marked for end in over.finished)
        if over.round is not None:
            taken = {job.id for job in over.claimed or ()}
            self._upkeep.admitted(since, began, over.round, taken)
        elif self._is_minded:
            self._upkeep.admit()
        if bid is not None:
            await self._claimer.took(bid, over.claimed)
        return over.finished
