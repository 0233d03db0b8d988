"""Why a job does not run, and when it may: from a few bounded reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from jobpipe.app.explain_blocked import NEXT, blocked_reasons, paused_task
from jobpipe.app.reason import ReasonView
from jobpipe.app.views import time_text
from jobpipe.model.job import JobRecord
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.policy.finding import number
from jobpipe.policy.work_health import takes
from jobpipe.store.ops import inspect, read
from jobpipe.store.ops import worker as workers
from jobpipe.store.ops.aside import TaskPause, task_pause
from jobpipe.store.ops.read import QueueRecord
from jobpipe.store.port import Mode, Op, operation

BEFORE_MAX = 10_000
"""The jobs before one are counted up to here."""

UNSEEN = "(Programs that ask over HTTP show only while they hold jobs.)"

PARKED: Mapping[Reason | None, tuple[str, str]] = {
    Reason.UNKNOWN_TASK: (
        "No worker that met it knows the task {task}.",
        "Deploy workers whose application declares the task; they take the job up again.",
    ),
    Reason.INCOMPATIBLE: (
        "Its arguments are of version {version}, which no code that met it takes: task {task}.",
        "Deploy workers whose code takes that version, and they take the job up; or cancel it.",
    ),
    Reason.UNDECODABLE: (
        "Its arguments do not fit the task {task} as it is now.",
        "Deploy code that takes these arguments, or cancel the job.",
    ),
}


class ExplainView(Struct, frozen=True, kw_only=True):
    """Why a job is not running."""

    id: int
    state: State
    summary: str
    reasons: list[ReasonView]
    may_start_at: str | None
    """Earliest start as far as it is known; None while something else is in the way."""


class Around(Struct, frozen=True, kw_only=True):
    """What stands around a job that waits."""

    now: int
    queue: QueueRecord
    workers: Sequence[WorkerRecord]
    """Those that run jobs and whose lease lasts."""
    busy: Mapping[int, int]
    before: int
    """Jobs before it in its lane."""
    task: TaskPause
    blocked: Sequence[ReasonView]
    """What a blocked job waits for."""
    starts_at: int | None
    """When a blocked job may start, as far as that is known."""


@operation(Mode.READ)
def explain(id: int) -> Op[ExplainView | None]:
    """Tell why a job is not running; None when there is none."""
    job = yield from read.record(id)
    if job is None:
        return None
    if job.state in FINAL or job.state in (State.RUNNING, State.PARKED):
        return _view(job, [_settled(job), *_asked_to_stop(job)], None)
    around = yield from _look_around(job)
    reasons = list(_waiting(job, around))
    return _view(job, reasons, _may_start_at(job, reasons, around))


def _look_around(job: JobRecord) -> Op[Around]:
    now = yield from read.ping().start()
    queues = {queue.name: queue for queue in (yield from read.queues().start())}
    known = yield from workers.workers().start()
    alive = [each for each in known if each.slots and not each.expired]
    busy = yield from inspect.busy().start()
    before = yield from inspect.jobs_before(job.id, BEFORE_MAX).start()
    task = yield from task_pause(job.task)
    blocked: list[ReasonView] = []
    starts_at = None
    if job.state is State.BLOCKED:
        blocked, starts_at = yield from blocked_reasons(job)
    queue = queues.get(job.queue, QueueRecord(job.queue))
    return Around(
        now=now,
        queue=queue,
        workers=alive,
        busy=busy,
        before=before,
        task=task,
        blocked=blocked,
        starts_at=starts_at,
    )


def _view(job: JobRecord, reasons: list[ReasonView], may_start_at: int | None) -> ExplainView:
    return ExplainView(
        id=job.id,
        state=job.state,
        summary=reasons[0].message,
        reasons=reasons,
        may_start_at=time_text(may_start_at),
    )


def _settled(job: JobRecord) -> ReasonView:
    """Tell of a job that does not wait for its turn."""
    if job.state is State.RUNNING:
        who = "A worker" if job.worker is None else f"The worker {job.worker}"
        return ReasonView(
            code="running",
            message=f"{who} runs it: attempt {job.attempt} of {job.max_attempts}.",
            since=time_text(job.started_at),
        )
    if job.state is State.PARKED:
        message, cure = PARKED[job.reason]
        message = message.format(task=job.task, version=job.version)
        return ReasonView(code=str(job.reason), message=message, help=cure)
    why = "" if job.reason is None else f" ({job.reason})"
    return ReasonView(
        code="ended",
        message=f"It has ended: {job.state}{why}.",
        since=time_text(job.finished_at),
        help=f"Run it once more: jobpipe job rerun {job.id}",
    )


def _asked_to_stop(job: JobRecord) -> Iterator[ReasonView]:
    if job.state is State.RUNNING and job.cancel_requested_at is not None:
        yield ReasonView(
            code="cancel_requested",
            message="It was asked to stop.",
            since=time_text(job.cancel_requested_at),
        )


def _waiting(job: JobRecord, around: Around) -> Iterator[ReasonView]:
    """Tell what keeps a job from running, the first thing first."""
    paused = list(paused_task(around.task))
    yield from paused
    if job.state is State.BLOCKED:
        yield from around.blocked
        if not paused and not around.blocked:
            yield NEXT
    elif job.state is not State.QUEUED:
        yield from _timed(job)
    queue = around.queue
    if queue.paused_at is not None:
        by = "" if queue.paused_by is None else f" by {queue.paused_by}"
        why = "" if queue.paused_reason is None else f": {queue.paused_reason}"
        yield ReasonView(
            code="queue_paused",
            message=f"The queue {queue.name} is paused{by}{why}.",
            since=time_text(queue.paused_at),
            until=time_text(queue.paused_until),
            help=f"jobpipe queue resume {queue.name}",
        )
    taking = [each for each in around.workers if takes(each, queue.name)]
    if not taking:
        yield _untaken(queue.name, alive=bool(around.workers))
    elif job.state is State.QUEUED:
        yield from _in_line(job, around, taking)


def _timed(job: JobRecord) -> Iterator[ReasonView]:
    if job.state is State.RETRYING:
        message = f"Attempt {job.attempt} of {job.max_attempts} failed; it is tried again later."
        yield ReasonView(code="retrying", message=message, until=time_text(job.due_at))
    elif job.expires_at is not None and job.run_at is not None and job.expires_at <= job.run_at:
        message = "It expires before the time for which it waits."
        yield ReasonView(code="expires_first", message=message, until=time_text(job.expires_at))
    else:
        message = "It waits for its time."
        yield ReasonView(code="scheduled", message=message, until=time_text(job.due_at))


def _untaken(queue: str, *, alive: bool) -> ReasonView:
    if alive:
        return ReasonView(
            code="queue_untaken",
            message=f"No worker is known to take the queue {queue}.",
            help=f"Start one for it: jobpipe worker APP -q {queue}. {UNSEEN}",
        )
    return ReasonView(
        code="no_workers",
        message="No worker is known to be alive.",
        help=f"Start one: jobpipe worker APP. {UNSEEN}",
    )


def _in_line(
    job: JobRecord, around: Around, taking: Sequence[WorkerRecord]
) -> Iterator[ReasonView]:
    slots = sum(each.slots for each in taking)
    busy = sum(around.busy.get(each.id, 0) for each in taking)
    if around.before:
        yield ReasonView(
            code="jobs_before",
            message=f"Before it in its lane (queue {job.queue}, priority {job.priority}):"
            f" {number(around.before, 'job', BEFORE_MAX)}.",
        )
    if busy >= slots:
        yield ReasonView(
            code="slots_busy",
            message=f"All {number(slots, 'slot')} of {number(len(taking), 'worker')} that may take"
            " it are busy.",
            help="Wait, or start more workers.",
        )
    is_paused = around.queue.paused_at is not None or around.task.paused_at is not None
    if not around.before and busy < slots and not is_paused:
        yield ReasonView(
            code="next",
            message="It may run now: a worker takes it with its next look.",
            since=time_text(job.queued_at),
        )


def _may_start_at(job: JobRecord, reasons: Sequence[ReasonView], around: Around) -> int | None:
    due_at = job.due_at or around.now
    opens = {
        "next": around.now,
        "scheduled": due_at,
        "retrying": due_at,
        "queue_paused": around.queue.paused_until,
        "task_paused": around.task.paused_until,
        "gate_paused": around.starts_at,
        "rate": around.starts_at,
        "slowed": around.starts_at,
    }
    known = [opens.get(reason.code) for reason in reasons]
    times = [each for each in known if each is not None]
    return max(around.now, *times) if len(times) == len(known) else None
