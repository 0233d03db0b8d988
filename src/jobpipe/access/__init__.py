"""An application's way to what answers its verbs: a store of its own, or a service over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from jobpipe import bootstrap
from jobpipe.access.store import StoreAccess
from jobpipe.app.ask import Asked
from jobpipe.clock import Clock
from jobpipe.config.settings import Settings
from jobpipe.config.urls import is_service
from jobpipe.delivery.hub import Hub
from jobpipe.model.flow import PlanStored
from jobpipe.model.job import Enqueued, JobRecord
from jobpipe.tasks.flow import Flow
from jobpipe.tasks.task import Call

T = TypeVar("T")


class Access(Protocol):
    """What answers; safe to use from many threads, on many loops and after a fork."""

    is_service: bool
    """There is no store here; and the service judges by itself which tasks there are."""

    def ask(self, ask: Asked[T]) -> T:
        """Return what the ask comes to; raises StoreUnavailable and what the ask raises."""
        ...

    async def aask(self, ask: Asked[T]) -> T: ...

    def enqueue(self, calls: Sequence[Call[Any]], on: object | None) -> list[Enqueued]:
        """Store the calls, all or none; ``on`` is a connection whose transaction they join."""
        ...

    async def aenqueue(self, calls: Sequence[Call[Any]], on: object | None) -> list[Enqueued]: ...

    def compose(self, flow: Flow, on: object | None) -> PlanStored:
        """Store a flow, or nothing of it; ``on`` as in ``enqueue``."""
        ...

    async def acompose(self, flow: Flow, on: object | None) -> PlanStored: ...

    def final(self, id: int, timeout: float | None) -> JobRecord:
        """Wait for the end of a job; raises WaitTimeout after ``timeout`` seconds, JobNotFound."""
        ...

    async def afinal(self, id: int, limit: float | None) -> JobRecord: ...

    def store(self, wish: str) -> StoreAccess:
        """Return the store itself; raises ConfigError, naming the wish, when this is none."""
        ...

    def close(self) -> None: ...

    async def aclose(self) -> None: ...


def reach(settings: Settings, hub: Hub, clock: Clock | None = None) -> Access:
    """Return the way to what the URL names; nothing is opened yet."""
    if is_service(settings.url):
        return bootstrap.service(settings)
    return StoreAccess(settings, hub, clock)
