"""A job as the rooms hand it to each other: asked for, claimed, ended, and as the store tells it.

Times are whole microseconds since 1970 in UTC (``_us`` marks a span of time, also microseconds);
payloads (``args``, ``result``, ``error``, ``tags``, ``meta``) are JSON texts. What a worker holds
by the thousand holds nothing but texts and numbers, so the garbage collector need not look at it.
"""

from __future__ import annotations

from msgspec import Struct

from jobpipe.model.audit import Actor
from jobpipe.model.gate import Wish
from jobpipe.model.report import ProgressRecord
from jobpipe.model.state import Reason, State
from jobpipe.model.unique import Uniqueness

MIN_PRIORITY, MAX_PRIORITY = -100, 100
MAX_NAME_LENGTH = 200
"""Longest name of a task or a queue, and longest idempotency key, in characters."""


class NewJob(Struct, frozen=True, kw_only=True, gc=False):
    """One request to run a task, complete and checked: what ``enqueue`` stores."""

    task: str
    args: str
    """The JSON object of the arguments, by parameter name."""
    queue: str = "default"
    priority: int = 0
    delay_us: int | None = None
    """Earliest start, counted from the moment of storing; not together with ``run_at``."""
    run_at: int | None = None
    expires_in_us: int | None = None
    max_attempts: int = 5
    max_losses: int = 3
    timeout_us: int | None = None
    idempotency_key: str | None = None
    tags: str | None = None
    meta: str | None = None
    version: int | None = None
    """Of the task's arguments; None means the first."""
    marks: int | None = None
    """See ``model.marks``; None: nobody minds what becomes of it."""
    group_key: str | None = None
    tenant: str | None = None
    unique_key: str | None = None
    wishes: tuple[Wish, ...] = ()
    """The gates that it is to pass. No column of the job."""
    by: Actor | None = None
    """Who asks for it; noted in the audit. No column of the job; None leaves no note."""
    unique: Uniqueness | None = None
    """What ``unique_key`` is worth. No column of the job; None: nothing, it may have many."""


class Enqueued(Struct, frozen=True, gc=False):
    """The store's answer to one ``NewJob``."""

    id: int
    state: State
    created: bool
    """False when an earlier request with the same idempotency key, or the same unique one, made
    the job."""
    created_at: int
    """When the job was stored, by the store's clock."""
    job: NewJob | None = None
    """What was stored, for who asked for one job."""


class Lane(Struct, frozen=True, order=True):
    """One (queue, priority): the line in which jobs wait by rank."""

    queue: str
    priority: int


class Claimed(Struct, frozen=True, gc=False):
    """One attempt that a worker holds: all it needs to run the job."""

    id: int
    token: int
    attempt: int
    task: str
    queue: str
    priority: int
    args: str
    max_attempts: int
    timeout_us: int | None
    expired: bool
    rank: int
    claim_id: int
    meta: str | None
    suspect: bool = False
    """It ran when its worker died, perhaps as the cause: it shall run alone."""
    checkpoint: str | None = None
    """What an earlier attempt left for this one to go on from, as a JSON text."""


class Finish(Struct, frozen=True, kw_only=True, gc=False):
    """How an attempt ended, ready to be written: guarded by (id, token)."""

    id: int
    token: int
    state: State
    """Where the job goes: a final state, retrying, scheduled (a snooze) or parked."""
    reason: Reason | None = None
    outcome: str
    """What the attempt came to, for the history: see ``Outcome`` in ``policy.outcome``."""
    result: str | None = None
    error: str | None = None
    delay_us: int | None = None
    """For retrying and scheduled: how long the job waits from now on."""
    charged: bool = True
    """False takes the attempt back from the count (snooze, parked, expired)."""
    duration_us: int = 0
    ended_at_ns: int = 0
    """Monotonic clock of the worker when the run ended; becomes the age of the outcome."""
    slow_us: int | None = None
    """For how long the job's rates let nobody through."""
    stored: bool = False
    """The attempt has committed it with its own writes (``job.transaction()``)."""


class JobRecord(Struct, frozen=True, kw_only=True):
    """A job as it stands in the store."""

    id: int
    task: str
    args: str
    queue: str
    priority: int
    state: State
    reason: Reason | None
    attempt: int
    max_attempts: int
    losses: int
    reruns: int
    token: int
    created_at: int
    run_at: int | None
    due_at: int | None
    queued_at: int | None
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    cancel_requested_at: int | None
    timeout_us: int | None
    result: str | None
    error: str | None
    tags: str | None
    meta: str | None
    idempotency_key: str | None
    worker: str | None = None
    worker_pid: int | None = None
    progress: ProgressRecord | None = None
    version: int = 1
    marks: int | None = None
    group: str | None = None
    tenant: str | None = None
    unique_key: str | None = None
    blocked_on: str | None = None
    """The gate that is shut, once somebody has looked; of blocked jobs alone."""
    position: int | None = None
    """Its place in the line in which it waits, its gate's or its tenant's, from 1 and up to 10,001;
    None where it waits in none, and in lists."""


def just_stored(job: NewJob, answer: Enqueued) -> JobRecord:
    """Return the job as a read would have found it right after it was created."""
    now = answer.created_at
    run_at = now + job.delay_us if job.run_at is None and job.delay_us is not None else job.run_at
    expires_at = None if job.expires_in_us is None else now + job.expires_in_us
    times = [time for time in (run_at, expires_at) if time is not None]
    return JobRecord(
        id=answer.id,
        task=job.task,
        args=job.args,
        queue=job.queue,
        priority=job.priority,
        state=answer.state,
        reason=None,
        attempt=0,
        max_attempts=job.max_attempts,
        losses=0,
        reruns=0,
        token=0,
        created_at=now,
        run_at=run_at,
        # The store looks at it again at its start, or sooner when it expires before.
        due_at=min(times) if answer.state is State.SCHEDULED else None,
        queued_at=now if answer.state is State.QUEUED else None,
        started_at=None,
        finished_at=None,
        expires_at=expires_at,
        cancel_requested_at=None,
        timeout_us=job.timeout_us,
        result=None,
        error=None,
        tags=job.tags,
        meta=job.meta,
        idempotency_key=job.idempotency_key,
        version=job.version or 1,
        marks=job.marks,
        group=job.group_key,
        tenant=job.tenant,
        unique_key=job.unique_key,
    )


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """One run of a job, from the history."""

    job_id: int
    token: int
    number: int
    """Which charged attempt this was, from 1; after a re-run counted from 1 again."""
    outcome: str
    """``succeeded``, ``failed``, ``timed_out``, ``snoozed``, ``cancelled``, ``lost``, ``parked``,
    ``expired`` or ``running``."""
    reason: Reason | None
    worker: str | None
    host: str | None
    pid: int | None
    started_at: int | None
    finished_at: int | None
    error: str | None
