"""The application's way to the test's own store: in memory, on the virtual clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from jobpipe.access.store import StoreAccess
from jobpipe.clock import Clock
from jobpipe.config.settings import Settings
from jobpipe.delivery.hub import Hub
from jobpipe.errors import StoreUnavailable, WaitTimeout
from jobpipe.failpoint import FailpointError, failpoint
from jobpipe.model.flow import PlanStored
from jobpipe.model.job import Enqueued, JobRecord
from jobpipe.store.ops import read
from jobpipe.store.ops.admit import admit
from jobpipe.tasks.flow import Flow
from jobpipe.tasks.task import Call

WAIT_SECONDS = 5.0
"""Longest wait for a job that sets no limit of its own: in a test nobody may ever run it."""


class KitAccess(StoreAccess):
    """Stores jobs like any other access, then tells the kit; waits for no job for ever."""

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        clock: Clock,
        stored: Callable[[], bool],
        astored: Callable[[], Awaitable[bool]],
    ) -> None:
        """``stored`` is called whenever something was, and tells whether jobs have run."""
        super().__init__(settings, hub, clock)
        self._stored = stored
        self._astored = astored

    def enqueue(self, calls: Sequence[Call[Any]], on: object | None) -> list[Enqueued]:
        """Store the calls at once: no transaction of the caller's reaches this store."""
        del on
        with _storing():
            answers = super().enqueue(calls, None)
        return [self._as_it_is(answer) for answer in answers] if self._stored() else answers

    async def aenqueue(self, calls: Sequence[Call[Any]], on: object | None) -> list[Enqueued]:
        """Store the calls like ``enqueue``."""
        del on
        with _storing():
            answers = await super().aenqueue(calls, None)
        return [self._as_it_is(answer) for answer in answers] if await self._astored() else answers

    def compose(self, flow: Flow, on: object | None) -> PlanStored:
        """Store a flow at once."""
        del on
        with _storing():
            stored = super().compose(flow, None)
        self._stored()
        return stored

    async def acompose(self, flow: Flow, on: object | None) -> PlanStored:
        """Store a flow like ``compose``."""
        del on
        with _storing():
            stored = await super().acompose(flow, None)
        await self._astored()
        return stored

    def _as_it_is(self, answer: Enqueued) -> Enqueued:
        """Tell the state of a job that has run meanwhile."""
        state = self.run(read.state_of(answer.id)) or answer.state
        return answer if state is answer.state else replace(answer, state=state, job=None)

    def next_opening(self) -> int | None:
        """Admit what may be admitted; return in how many microseconds a gate may open by itself."""
        round_ = self.run(admit(max_payload=self._settings.max_payload))
        return None if round_ is None else round_.next_in_us

    def final(self, id: int, timeout: float | None) -> JobRecord:
        """Wait for the end of a job, but not for ever."""
        try:
            return super().final(id, WAIT_SECONDS if timeout is None else timeout)
        except WaitTimeout as error:
            raise _unrun(error) from None

    async def afinal(self, id: int, limit: float | None) -> JobRecord:
        """Wait like ``final``."""
        try:
            return await super().afinal(id, WAIT_SECONDS if limit is None else limit)
        except WaitTimeout as error:
            raise _unrun(error) from None


@contextmanager
def _storing() -> Iterator[None]:
    _lost("enqueue.before")
    yield
    _lost("enqueue.after", stored=True)


def _lost(place: str, *, stored: bool = False) -> None:
    """Pass a place where a test may take the store away; raises StoreUnavailable if it does."""
    try:
        failpoint(place)
    except FailpointError as error:
        raise StoreUnavailable(f"the store went away at {place}", outcome_unknown=stored) from error


def _unrun(error: WaitTimeout) -> WaitTimeout:
    return WaitTimeout(
        str(error),
        help="Under the test kit jobs run in drain() or run(); one that waits for another needs"
        " more than one slot: Kit(concurrency=2).",
    )
