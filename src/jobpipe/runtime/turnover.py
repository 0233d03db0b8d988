"""Writes how attempts ended, and lets those go on in the same transaction who waited for that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from jobpipe.errors import JobpipeError
from jobpipe.model.job import Finish
from jobpipe.runtime.claimer import Bid, Claimer
from jobpipe.runtime.finisher import Refused
from jobpipe.runtime.upkeep import Upkeep
from jobpipe.store.ops.finish import Finished, finish
from jobpipe.store.ops.turn_over import TurnedOver, turn_over
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
        bid = self._claimer.bid(len(outcomes))
        over = await self._ask(outcomes, since, bid)
        if bid is not None:
            await self._claimer.took(bid, over.claimed if over is not None else None)
        if over is None:
            return None
        self._is_minded = any(end.marked for end in over.finished)
        if over.round is not None:
            taken = {job.id for job in over.claimed or ()}
            self._upkeep.admitted(began, over.round, taken)
            self._is_minded &= not over.round.more  # outcomes do not wait for many rounds
        elif self._is_minded:
            self._upkeep.admit()
        return over.finished

    async def _ask(
        self, outcomes: Sequence[Finish], since: int, bid: Bid | None
    ) -> TurnedOver | None:
        now_ns, most = time.monotonic_ns(), self._max_payload
        if bid is None:
            asked = turn_over(outcomes, now_ns, since, most, None)
        else:
            more = bid.may_have_more
            asked = turn_over(outcomes, now_ns, since, most, bid.claim, may_have_more=more)
        try:
            return await self._store.run(asked)
        except (JobpipeError, asyncio.CancelledError):  # it may be stored, or not
            if bid is not None:
                self._claimer.lost(bid)
            raise
        except Exception:  # the round may be at fault: its own duty tells of that
            return None

    async def _finish(self, outcomes: Sequence[Finish]) -> list[Finished]:
        try:
            return await self._store.run(finish(outcomes, time.monotonic_ns()))
        except JobpipeError:
            raise
        except Exception as error:
            raise Refused from error
