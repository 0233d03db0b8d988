"""How much work there is and how it goes: queues with rates, workers, slow and failing tasks.

Every figure comes from a bounded read or a kept counter, so that looking once a second costs
little however much history there is.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from jobpipe.app.views import SECOND_US, plain, time_text
from jobpipe.model.condition import Head, TaskFailures, TaskRuns
from jobpipe.model.state import State
from jobpipe.model.worker import WorkerRecord
from jobpipe.store.ops import inspect, read, worker
from jobpipe.store.ops.read import Counts, QueueRecord
from jobpipe.store.port import Mode, Op, operation

BOUND = 10_000
"""Counts of waiting jobs stop here."""

TASKS = 10
"""Most tasks among the slowest, and among the failing."""


class Rates(Struct, frozen=True, kw_only=True):
    """Jobs a second since the look before."""

    started: float
    """Begun for the first time, or again after a wait: what ended and what more is running."""
    succeeded: float
    failed: float


class QueueLoad(Struct, frozen=True, kw_only=True):
    """What waits and runs in a queue, and how fast it moves."""

    name: str
    paused: bool
    queued: int
    """Counted up to 10,000."""
    running: int
    scheduled: int
    retrying: int
    parked: int
    succeeded: int
    failed: int
    oldest_wait_seconds: float | None
    """How long the first job waits; None when none may run now."""
    per_second: Rates | None
    """None at the first look."""


class WorkerLoad(Struct, frozen=True, kw_only=True):
    """How busy a worker is."""

    id: int
    name: str
    pid: int
    slots: int
    busy: int
    queues: Any
    seen_at: str | None
    lease: str
    """``ok`` or ``expired``."""


class SlowTask(Struct, frozen=True, kw_only=True):
    """How long a sample of a task's newest jobs took, those that still run included."""

    task: str
    runs: int
    running: int
    mean_seconds: float
    longest_seconds: float


class FailingTask(Struct, frozen=True, kw_only=True):
    """How many of a sample failed in the last ten minutes, and how many wait for a retry."""

    task: str
    failed: int
    retrying: int


class Overview(Struct, frozen=True, kw_only=True):
    """One look at a store."""

    time: str | None
    queues: list[QueueLoad]
    workers: list[WorkerLoad]
    slowest: list[SlowTask]
    failing: list[FailingTask]


class LoadWatch:
    """Looks again and again; from the second look on there are rates."""

    def __init__(
        self,
        look: Callable[[], Overview],
        alook: Callable[[], Awaitable[Overview]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._alook = alook
        self._clock = clock
        self._before: tuple[float, Overview] | None = None

    def look(self) -> Overview:
        """Return how things stand; raises StoreUnavailable."""
        return self._rated(self._look())

    async def alook(self) -> Overview:
        """Look like ``look``, without blocking the event loop."""
        return self._rated(await self._alook())

    def _rated(self, seen: Overview) -> Overview:
        at = self._clock()
        before, self._before = self._before, (at, seen)
        if before is None:
            return seen
        then, earlier = before
        return _with_rates(seen, earlier, max(at - then, 0.001))


@operation(Mode.READ)
def look() -> Op[Overview]:
    """Return how things stand, without rates."""
    counts = yield from read.counts(BOUND).start()
    heads = {head.queue: head for head in (yield from inspect.heads().start())}
    busy = yield from inspect.busy().start()
    known = {queue.name: queue for queue in (yield from read.queues().start())}
    for name, _state in counts:
        known.setdefault(name, QueueRecord(name))
    now = yield from read.ping().start()
    workers = yield from worker.workers().start()
    runs = yield from inspect.task_runs().start()
    failures = yield from inspect.task_failures().start()
    return Overview(
        time=time_text(now),
        queues=[_queue(known[name], counts, heads.get(name)) for name in sorted(known)],
        workers=[_worker(each, busy) for each in workers],
        slowest=[_slow(each) for each in runs[:TASKS]],
        failing=[_failing(each) for each in failures[:TASKS]],
    )


def _with_rates(seen: Overview, earlier: Overview, seconds: float) -> Overview:
    before = {queue.name: queue for queue in earlier.queues}

    def rates(queue: QueueLoad) -> Rates:
        then = before.get(queue.name)
        # The kept counters fall when old jobs are pruned: that is no movement.
        succeeded = max(0, queue.succeeded - (then.succeeded if then else 0))
        failed = max(0, queue.failed - (then.failed if then else 0))
        running = queue.running - (then.running if then else 0)
        return Rates(
            started=round(max(0, succeeded + failed + running) / seconds, 1),
            succeeded=round(succeeded / seconds, 1),
            failed=round(failed / seconds, 1),
        )

    return replace(seen, queues=[replace(each, per_second=rates(each)) for each in seen.queues])


def _queue(queue: QueueRecord, counts: Counts, head: Head | None) -> QueueLoad:
    def count(state: State) -> int:
        return counts.get((queue.name, state), 0)

    waited = None if head is None or head.waited_us is None else max(0, head.waited_us) / SECOND_US
    return QueueLoad(
        name=queue.name,
        paused=queue.paused_at is not None,
        queued=count(State.QUEUED),
        running=count(State.RUNNING),
        scheduled=count(State.SCHEDULED),
        retrying=count(State.RETRYING),
        parked=count(State.PARKED),
        succeeded=count(State.SUCCEEDED),
        failed=count(State.FAILED),
        oldest_wait_seconds=waited,
        per_second=None,
    )


def _worker(record: WorkerRecord, busy: Mapping[int, int]) -> WorkerLoad:
    return WorkerLoad(
        id=record.id,
        name=record.name,
        pid=record.pid,
        slots=record.slots,
        busy=busy.get(record.id, 0),
        queues=plain(record.queues),
        seen_at=time_text(record.seen_at),
        lease="expired" if record.expired else "ok",
    )


def _slow(runs: TaskRuns) -> SlowTask:
    return SlowTask(
        task=runs.task,
        runs=runs.runs,
        running=runs.running,
        mean_seconds=runs.mean_us / SECOND_US,
        longest_seconds=runs.longest_us / SECOND_US,
    )


def _failing(failures: TaskFailures) -> FailingTask:
    return FailingTask(task=failures.task, failed=failures.failed, retrying=failures.retrying)
