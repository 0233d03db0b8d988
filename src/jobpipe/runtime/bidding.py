"""Runs transactions of others that claim in the claimer's place.

Whoever lets a job in and claims it in the same transaction saves it a commit and a hint.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, TypeVar

from jobpipe.errors import JobpipeError
from jobpipe.model.job import Claimed
from jobpipe.runtime.claimer import Bid, Claimer
from jobpipe.store.port import AsyncStore, Operation


class Claiming(Protocol):
    """What a transaction answers that may have claimed."""

    @property
    def claimed(self) -> list[Claimed] | None:
        """None: it has not tried."""


Answer = TypeVar("Answer", bound=Claiming | None)


class Undone(Exception):
    """The store refused the transaction with this error, and nothing of it is stored."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Bidder:
    """``claimer`` None: nobody claims here."""

    def __init__(self, store: AsyncStore, claimer: Claimer | None) -> None:
        self._store = store
        self._claimer = claimer

    def bid(self, most: int) -> Bid | None:
        """Return what a transaction may claim for so many slots at most; ``run`` is to follow."""
        return self._claimer.bid(most) if self._claimer is not None else None

    def bid_at_rest(self) -> Bid | None:
        """Return what a transaction may claim of what it queues itself, while the claimer rests;
        ``run`` is to follow."""
        return self._claimer.bid_at_rest() if self._claimer is not None else None

    async def run(self, bid: Bid | None, asked: Operation[Answer]) -> Answer:
        """Run the transaction that was made with the bid.

        Raises Undone, or StoreUnavailable when it may be stored or not.
        """
        try:
            answer = await self._store.run(asked)
        except (JobpipeError, asyncio.CancelledError):
            if bid is not None and self._claimer is not None:
                self._claimer.lost(bid)
            raise
        except Exception as error:
            await self._took(bid, None)
            raise Undone(error) from error
        await self._took(bid, answer.claimed if answer is not None else None)
        return answer

    async def _took(self, bid: Bid | None, jobs: list[Claimed] | None) -> None:
        if bid is not None and self._claimer is not None:
            await self._claimer.took(bid, jobs)
