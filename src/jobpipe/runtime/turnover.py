"""Writes how attempts ended, and lets those go on in the same transaction who waited for that."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobpipe.errors import JobpipeError
from jobpipe.model.job import Finish
from jobpipe.runtime.bidding import Bidder, Undone
from jobpipe.runtime.finisher import Refused
from jobpipe.runtime.upkeep import Upkeep
from jobpipe.store.ops.finish import Finished, finish
from jobpipe.store.ops.turn_over import turn_over
from jobpipe.store.port import AsyncStore


class Turnover:
    """Looks whether anybody minded the outcomes before: then somebody will mind the next, too.

    Others cost one statement and one commit, as if there were no gates.
    """

    def __init__(self, store: AsyncStore, upkeep: Upkeep, bidder: Bidder, max_payload: int) -> None:
        self._store = store
        self._upkeep = upkeep
        self._bidder = bidder
        self._max_payload = max_payload
        self._is_minded = False

    async def write(self, outcomes: Sequence[Finish]) -> list[Finished]:
        """Write outcomes; returns those that the store took. Raises StoreUnavailable, Refused."""
        finished = None
        # Who slows a key down locks its gate: no round may wait behind that.
        if self._is_minded and all(end.slow_us is None for end in outcomes):
            self._is_minded = False  # whatever keeps a round from its end shall not keep outcomes
            finished = await self._turn_over(outcomes)
        if finished is None:
            finished = await self._finish(outcomes)
            self._is_minded = any(end.marked for end in finished)
            if self._is_minded:
                self._upkeep.admit()
        return finished

    async def _turn_over(self, outcomes: Sequence[Finish]) -> list[Finished] | None:
        """Write outcomes, do a round, claim; None: the store refused some of that."""
        began, since = time.monotonic(), self._upkeep.ask_for_round()
        bid = self._bidder.bid(len(outcomes))
        asked = turn_over(
            outcomes,
            time.monotonic_ns(),
            since,
            self._max_payload,
            bid.claim if bid is not None else None,
            may_have_more=bid is not None and bid.may_have_more,
        )
        try:
            over = await self._bidder.run(bid, asked)
        except Undone:  # the round may be at fault: its own duty tells of that
            return None
        self._is_minded = any(end.marked for end in over.finished)
        if over.round is not None:
            self._upkeep.admitted(began, over.round)
            self._is_minded &= not over.round.more  # outcomes do not wait for many rounds
        elif self._is_minded:
            self._upkeep.admit()
        return over.finished

    async def _finish(self, outcomes: Sequence[Finish]) -> list[Finished]:
        try:
            return await self._store.run(finish(outcomes, time.monotonic_ns()))
        except JobpipeError:
            raise
        except Exception as error:
            raise Refused from error
