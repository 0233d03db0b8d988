"""What a worker is told, and what it is given to work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jobpipe.config.settings import QueueSlots
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.policy.retention import Retention
from jobpipe.policy.retry import RetryDelays
from jobpipe.runtime.transaction import Transactions
from jobpipe.store.port import AsyncStore, Store
from jobpipe.tasks.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The settings that concern a worker."""

    name: str
    queues: tuple[QueueSlots, ...]
    concurrency: int
    poll_seconds: float
    lease_seconds: float
    shutdown_seconds: float
    retention: Retention
    retry_delays: RetryDelays
    max_payload: int


class LivenessLock(Protocol):
    """Held by a living worker; the operating system frees it when the process ends."""

    def remove(self) -> None: ...


class LivenessLocks(Protocol):
    """The liveness locks of a store whose workers all share a file system."""

    def hold(self, worker_id: int) -> LivenessLock: ...

    def is_dead(self, worker_id: int) -> bool: ...

    def forget(self, worker_id: int) -> None: ...


class Ears(Protocol):
    """Hears hints from other processes and rings the hub."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class WorkerKit:
    """Everything a worker works with; its stores are its own and it closes them."""

    registry: Registry
    hub: Hub
    store: AsyncStore
    heartbeat_store: Store
    locks: LivenessLocks | None
    ears: Callable[[Callable[[Hint], None]], Ears] | None
    transactions: Transactions
    close: Callable[[], None]
    """Closes the heartbeat's store, where it is the worker's own."""
