"""What a worker is told, and what it is given to work with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jobpipe.config.settings import QueueSlots, Settings
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.policy.retention import Retention
from jobpipe.policy.retry import RetryDelays
from jobpipe.runtime.executors.frames import Hello
from jobpipe.runtime.speech import DEFAULTS, SpeechOptions
from jobpipe.runtime.transaction import Transactions
from jobpipe.store.port import AsyncStore, Store
from jobpipe.tasks.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildOptions:
    """What a worker's child processes are given."""

    hello: Callable[[], Hello]
    environment: Callable[[bool], dict[str, str]]
    """The environment; True asks for the worker's whole one."""
    most: int
    """How many there may be at once."""
    max_payload: int
    pulse_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The settings that concern a worker."""

    name: str
    queues: tuple[QueueSlots, ...]
    concurrency: int
    poll_seconds: float
    ageing_seconds: float
    lease_seconds: float
    pulse_seconds: float
    shutdown_seconds: float
    retention: Retention
    retry_delays: RetryDelays
    max_payload: int
    children: ChildOptions | None = None
    """None: no process of its own can be given to a job here."""
    speech: SpeechOptions = DEFAULTS


def speech_options(settings: Settings) -> SpeechOptions:
    """Return the settings that concern what jobs say."""
    return SpeechOptions(
        level=getattr(logging, settings.job_log_level.upper()),
        lines=settings.job_log_lines,
        bytes=settings.job_log_bytes,
        max_payload=settings.max_payload,
        prints=settings.capture_print,
    )


class LivenessLock(Protocol):
    """Held by a living worker; the operating system frees it when the process ends."""

    def remove(self) -> None: ...


class LivenessLocks(Protocol):
    """The liveness locks of a store whose workers all share a file system."""

    def hold(self, worker_id: int) -> LivenessLock: ...

    def is_dead(self, worker_id: int) -> bool: ...

    def forget(self, worker_id: int) -> None: ...


class Ears(Protocol):
    """Hears hints from other processes."""

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


@dataclass(frozen=True, slots=True)
class WatchKit:
    """What a supervisor works with; the stores are its own, ``close`` closes them all."""

    hub: Hub
    store: Store
    heartbeat: Callable[[], tuple[Store, Callable[[], None]]]
    """Returns a store for one heartbeat, and how to close it."""
    locks: LivenessLocks | None
    close: Callable[[], None]
