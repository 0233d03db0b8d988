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
        finished = await self._turn_over(outcomes) if self._is_minded else None
        if finished is None:
            finished = await self._finish(outcomes)
            if any(end.marked for end in finished):
                self._upkeep.admit()
        self._is_minded = any(end.marked for end in finished)
        return finished

    async def _turn_over(self, outcomes: Sequence[Finish]) -> list[Finished] | None:
        """Write outcomes, do a round, claim; None: the store refused some of that."""
        began, since, bid = time.monotonic(), self._upkeep.ask_for_round(), self._claimer.bid()
        over = await self._ask(outcomes, since, bid)
        if over is not None and over.round is not None:
            taken = {job.id for job in over.claimed or ()}
            self._upkeep.admitted(since, began, over.round, taken)
        elif over is not None and any(end.marked for end in over.finished):
            self._upkeep.admit()
        if bid is not None:
            await self._claimer.took(bid, over.claimed if over is not None else None)
        return None if over is None else over.finished

    async def _ask(
        self, outcomes: Sequence[Finish], since: int, bid: Bid | None
    ) -> TurnedOver | None:
        claim = bid.claim if bid is not None else None
        asked = turn_over(outcomes, time.monotonic_ns(), since, self._max_payload, claim)
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
