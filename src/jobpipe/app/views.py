"""What people and programs are shown of jobs, queues, workers and tasks: the same in every front.

Times are RFC 3339 in UTC with microseconds. Whatever stands in the store can be shown: what is
no JSON, though it should be, is shown as the text that stands there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from msgspec import Struct

from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.report import ProgressRecord
from jobpipe.model.signals import Cancel
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.store.migrations import SchemaStatus
from jobpipe.store.ops.read import Page, QueueRecord
from jobpipe.tasks import wire

V = TypeVar("V")

SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JobView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job."""

    id: int
    task: str
    args: Any
    queue: str
    priority: int
    state: State
    reason: Reason | None
    attempt: int
    max_attempts: int
    created_at: str | None
    run_at: str | None
    queued_at: str | None
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None
    """How long the last attempt ran; None also where the job may have ended while it waited."""
    result: Any
    error: Any
    """An object of ``type``, ``message`` and ``traceback``, or None."""
    progress: Any
    """An object of ``done``, ``total`` and ``note``, or None."""
    worker: str | None
    token: int
    group: str | None
    tags: Any
    meta: Any
    idempotency_key: str | None
    blocked_on: Any
    expires_at: str | None
    timeout_seconds: float | None
    cancel_requested_at: str | None
    losses: int
    reruns: int
    version: int
    """Of the arguments; see the task's own."""
    tenant: str | None
    unique_key: str | None
    position: int | None = None
    """Place in the line in which it waits, its gate's or its tenant's, from 1 and up to 10,001.
    Only there while it waits in one, and where one job is asked for."""


class AttemptView(Struct, frozen=True, kw_only=True):
    """One run of a job."""

    job_id: int
    token: int
    number: int
    outcome: str
    reason: Reason | None
    worker: str | None
    host: str | None
    pid: int | None
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None
    error: Any


class QueueView(Struct, frozen=True, kw_only=True):
    """A queue, and how many of its jobs stand in each state."""

    name: str
    paused: bool
    reason: str | None
    paused_at: str | None
    paused_by: str | None = None
    paused_until: str | None = None
    """When the pause ends by itself; None: when somebody resumes the queue."""
    max_queued: int | None = None
    """How many of its jobs may wait; None: what JOBPIPE_MAX_QUEUED says."""
    concurrency: int | None = None
    """How many of its jobs may be queued or running at a time, over all processes."""
    rate: str | None = None
    """How many may start in a span of time, such as ``100/1m``."""
    blocked: int = 0
    scheduled: int = 0
    queued: int = 0
    running: int = 0
    retrying: int = 0
    parked: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class WorkerView(Struct, frozen=True, kw_only=True):
    """A worker that has not ended."""

    id: int
    name: str
    host: str
    pid: int
    supervisor_pid: int | None
    slots: int
    queues: Any
    started_at: str | None
    seen_at: str | None
    lease_until: str | None
    expired: bool
    """Its lease has ended: what it holds is about to be taken back."""


class SchemaView(Struct, frozen=True, kw_only=True):
    """How far a store's schema is."""

    current: int
    known: int
    newer: bool
    applied: list[int]
    pending: list[str]


class HealthView(Struct, frozen=True, kw_only=True):
    """A store that answered."""

    status: str
    store: str
    time: str | None


class PageView(Struct, Generic[V], frozen=True, kw_only=True):
    """A part of a list."""

    items: list[V]
    next_cursor: str | None = None
    """Where the next part begins; None when this was the last."""
    looked_down_to: int | None = None
    """Set when time ran out: jobs with ids below this one were not looked at."""


def job_view(record: JobRecord) -> JobView:
    """Show a job."""
    return JobView(
        id=record.id,
        task=record.task,
        args=plain(record.args),
        queue=record.queue,
        priority=record.priority,
        state=record.state,
        reason=record.reason,
        attempt=record.attempt,
        max_attempts=record.max_attempts,
        created_at=time_text(record.created_at),
        run_at=time_text(_earliest_start(record)),
        queued_at=time_text(record.queued_at),
        started_at=time_text(record.started_at),
        finished_at=time_text(record.finished_at),
        duration_seconds=_took(record),
        result=plain(record.result),
        error=plain(record.error),
        progress=_progress(record.progress),
        worker=record.worker,
        token=record.token,
        group=record.group,
        tags=plain(record.tags) if record.tags is not None else [],
        meta=plain(record.meta) if record.meta is not None else {},
        idempotency_key=record.idempotency_key,
        blocked_on=record.blocked_on if record.state is State.BLOCKED else None,
        expires_at=time_text(record.expires_at),
        timeout_seconds=None if record.timeout_us is None else record.timeout_us / SECOND_US,
        cancel_requested_at=time_text(record.cancel_requested_at),
        losses=record.losses,
        reruns=record.reruns,
        version=record.version,
        tenant=record.tenant,
        unique_key=record.unique_key,
        position=record.position,
    )


def attempt_view(record: AttemptRecord) -> AttemptView:
    """Show one run of a job."""
    return AttemptView(
        job_id=record.job_id,
        token=record.token,
        number=record.number,
        outcome=record.outcome,
        reason=record.reason,
        worker=record.worker,
        host=record.host,
        pid=record.pid,
        started_at=time_text(record.started_at),
        finished_at=time_text(record.finished_at),
        duration_seconds=_duration(record.started_at, record.finished_at),
        error=plain(record.error),
    )


def attempt_views(job: JobRecord, history: Sequence[AttemptRecord]) -> list[AttemptView]:
    """Show every run of a job, oldest first.

    An attempt that runs, or succeeded, stands in the job's own row and not in the history.
    """
    shown = [attempt_view(record) for record in history]
    if job.state in (State.RUNNING, State.SUCCEEDED) and all(
        record.token != job.token for record in history
    ):
        shown.append(
            AttemptView(
                job_id=job.id,
                token=job.token,
                number=job.attempt,
                outcome=job.state.value,
                reason=None,
                worker=job.worker,
                host=None,
                pid=job.worker_pid,
                started_at=time_text(job.started_at),
                finished_at=time_text(job.finished_at),
                duration_seconds=_duration(job.started_at, job.finished_at),
                error=None,
            )
        )
    return shown


def page_view(page: Page) -> PageView[JobView]:
    """Show a part of the list of jobs."""
    return PageView(
        items=[job_view(record) for record in page.jobs],
        next_cursor=None if page.next_before is None else str(page.next_before),
        looked_down_to=page.looked_down_to,
    )


def queue_views(
    queues: Iterable[QueueRecord], counts: Mapping[tuple[str, State], int]
) -> list[QueueView]:
    """Show queues by name: those known to the store, and any that only has counts."""
    known = {queue.name: queue for queue in queues}
    for name, _ in counts:
        known.setdefault(name, QueueRecord(name))
    return [
        QueueView(
            name=name,
            paused=known[name].paused_at is not None,
            reason=known[name].paused_reason,
            paused_at=time_text(known[name].paused_at),
            paused_by=known[name].paused_by,
            paused_until=time_text(known[name].paused_until),
            max_queued=known[name].max_queued,
            concurrency=known[name].concurrency,
            rate=known[name].rate,
            **{state.value: counts.get((name, state), 0) for state in State},
        )
        for name in sorted(known)
    ]


def worker_view(record: WorkerRecord) -> WorkerView:
    """Show a worker."""
    return WorkerView(
        id=record.id,
        name=record.name,
        host=record.host,
        pid=record.pid,
        supervisor_pid=record.supervisor_pid,
        slots=record.slots,
        queues=plain(record.queues),
        started_at=time_text(record.started_at),
        seen_at=time_text(record.seen_at),
        lease_until=time_text(record.lease_until),
        expired=record.expired,
    )


def schema_view(status: SchemaStatus) -> SchemaView:
    """Show how far a store's schema is."""
    return SchemaView(
        current=status.current,
        known=status.known,
        newer=status.is_newer,
        applied=list(status.applied),
        pending=[f"{step.version:04} {step.name}" for step in status.pending],
    )


def health_view(store: str, clock_us: int) -> HealthView:
    """Show a store that answered: its URL (masked already) and the time on its clock."""
    return HealthView(status="ok", store=store, time=time_text(clock_us))


def plain(text: str | None) -> Any:
    """Return what a JSON text of the store says, or the text itself when it is no JSON."""
    if text is None:
        return None
    try:
        return wire.read(text)
    except ValueError:
        return text


def time_text(moment_us: int | None) -> str | None:
    """Return a time of the store in RFC 3339, or None."""
    if moment_us is None:
        return None
    try:
        moment = _EPOCH + timedelta(microseconds=moment_us)
    except OverflowError:  # beyond the year 9999: a row that somebody else wrote
        return f"{moment_us} microseconds since 1970"
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _earliest_start(record: JobRecord) -> int | None:
    # ``due_at`` is when the store looks again: a retry's time, or an expiry before ``run_at``.
    return max(filter(None, (record.run_at, record.due_at)), default=None)


def _duration(started: int | None, finished: int | None) -> float | None:
    if started is None or finished is None:
        return None
    return max(0, finished - started) / SECOND_US


def _took(record: JobRecord) -> float | None:
    """Return how long the last attempt ran, or None: the job may have ended long after it.

    One that is cancelled while it runs was asked to end first, or has said so itself.
    """
    if record.reason is Reason.EXPIRED:
        return None
    if record.state is State.CANCELLED and record.cancel_requested_at is None:
        error = plain(record.error) if record.error is not None else {}
        if error.get("type") != Cancel.__name__:
            return None
    return _duration(record.started_at, record.finished_at)


def _progress(record: ProgressRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {"done": _number(record.done), "total": _number(record.total), "note": record.note}


def _number(value: float | None) -> float | int | None:
    is_whole = value is not None and abs(value) <= 2**53 and float(value).is_integer()
    return int(value or 0) if is_whole else value
