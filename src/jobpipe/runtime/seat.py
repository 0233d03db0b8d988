"""Where a worker sits: who keeps its lease, who notes what it runs, how much it may still take.

A worker inside somebody's program sits alone and keeps its own lease; one of ``jobpipe worker``
sits under a supervisor (``supervisor/child.py``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from jobpipe.model.job import Lane
from jobpipe.model.worker import NewWorker
from jobpipe.runtime import identity
from jobpipe.runtime.demand import Demand
from jobpipe.runtime.heartbeat import Heartbeat
from jobpipe.runtime.options import LivenessLock, WorkerKit, WorkerOptions
from jobpipe.runtime.slots import Started

LONGEST_TICK_SECONDS = 1.0
TICKS_PER_LIMIT = 8


class Lease(Protocol):
    """Keeps the lease of one incarnation from ``start`` to ``stop``."""

    def start(self) -> None: ...

    async def stop(self) -> None:
        """Keep it no longer; twice is fine."""
        ...

    def tick(self) -> None:
        """Note that the event loop is alive."""
        ...

    def was_late(self) -> bool:
        """Tell whether renewals are late: then others' leases that look ended may not be."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a lease is kept for; ``lost`` may be called on any thread, with the reason."""

    worker_id: int
    kit: WorkerKit
    options: WorkerOptions
    lost: Callable[[str], None]
    frontier: Callable[[], Mapping[Lane, int]]


class Intake:
    """How much a worker may take: nothing while it is quiet, nothing more once it retires."""

    def __init__(
        self,
        quota: int | None = None,
        half_taken: Callable[[], None] | None = None,
    ) -> None:
        self.retiring = asyncio.Event()
        """It takes no more: what it has runs to its end, however long that takes."""
        self.quiet = False
        self._left = quota
        self._half = None if quota is None else quota // 2
        self._half_taken = half_taken

    def bound(self, demand: Demand) -> Demand:
        """Return as much of the demand as may be taken."""
        if self.quiet or self.retiring.is_set():
            return Demand(0, 0)
        if self._left is None:
            return demand
        free = min(demand.free, self._left)
        return Demand(free, min(demand.ahead, self._left - free))

    def took(self, count: int) -> None:
        """Jobs were claimed."""
        if self._left is None:
            return
        self._left -= count
        if self._left <= 0:
            self.retiring.set()
        if self._half is not None and self._left <= self._half:
            self._half = None
            if self._half_taken is not None:
                self._half_taken()

    def gave_back(self, count: int) -> None:
        """Jobs were given back unstarted."""
        if self._left is not None:
            self._left += count


class Seat(Protocol):
    """The surroundings of a worker; the same for all its incarnations."""

    @property
    def intake(self) -> Intake: ...

    @property
    def started(self) -> Started | None: ...

    @property
    def supervisor(self) -> tuple[int | None, str]:
        """The supervisor's pid and when the kernel started it; (None, "") without one."""
        ...

    def lease(self, terms: Terms) -> Lease: ...

    def ready(self) -> None:
        """The worker takes jobs from now on."""
        ...

    def retiring(self) -> None:
        """The worker takes no more jobs, while there may be some left."""
        ...


class Alone:
    """The seat of a worker that has no supervisor."""

    started: Started | None = None
    supervisor: tuple[int | None, str] = (None, "")

    def __init__(self) -> None:
        self.intake = Intake()

    def lease(self, terms: Terms) -> Lease:
        return OwnLease(terms)

    def ready(self) -> None:
        """Whoever made it waits for its event ``ready``."""

    def retiring(self) -> None:
        """Nobody would take its place."""


class OwnLease:
    """A lease that is kept by a thread of the worker's own process."""

    def __init__(self, terms: Terms) -> None:
        kit, options = terms.kit, terms.options
        self._lock: LivenessLock | None = None
        self._hold = kit.locks.hold if kit.locks else None
        self._worker_id = terms.worker_id
        self._heartbeat = Heartbeat(
            kit.heartbeat_store,
            terms.worker_id,
            options.name,
            options.lease_seconds,
            lost=lambda: terms.lost("the store has taken it away"),
            doubtful=lambda: terms.lost("it could not be renewed in time"),
            frontier=terms.frontier,
            pulse_seconds=options.pulse_seconds,
        )

    def start(self) -> None:
        if self._hold is not None:
            self._lock = self._hold(self._worker_id)
        self._heartbeat.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self._heartbeat.stop)
        if self._lock is not None:
            self._lock.remove()

    def tick(self) -> None:
        self._heartbeat.tick()

    def was_late(self) -> bool:
        return self._heartbeat.was_late()


def tick_seconds(limit_seconds: float) -> float:
    """Return how often a loop says that it is alive, where so long a silence has consequences."""
    return min(LONGEST_TICK_SECONDS, limit_seconds / TICKS_PER_LIMIT)


def described(options: WorkerOptions, seat: Seat) -> NewWorker:
    """Return what a worker of this process tells of itself when it enters the store."""
    supervisor_pid, supervisor_started = seat.supervisor
    return NewWorker(
        name=options.name,
        host=identity.host(),
        pid=os.getpid(),
        pid_started=identity.pid_started(os.getpid()),
        slots=options.concurrency,
        queues=[
            queue.name if queue.slots is None else f"{queue.name}:{queue.slots}"
            for queue in options.queues
        ],
        supervisor_pid=supervisor_pid,
        supervisor_started=supervisor_started,
    )
