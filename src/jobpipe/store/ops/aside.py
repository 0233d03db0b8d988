"""What keeps a job from running though it was queued: its task is paused, or its queue has a limit.

Jobs are enqueued and claimed without a thought for either, so both cost nothing to other jobs:
whoever takes a job that is not to run sets it aside.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from jobpipe.model.change import Change
from jobpipe.model.job import Claimed
from jobpipe.model.state import State
from jobpipe.store.port import Batch, Mode, Op, Operation, Row, Statement, operation

COUNT_MAX = 10_000
"""Jobs that stand aside are counted up to here."""


class TaskPause(Struct, frozen=True):
    """Whether a task is paused; without ``paused_at`` it is not, or not any more."""

    task: str
    paused_at: int | None = None
    paused_reason: str | None = None
    paused_by: str | None = None
    paused_until: int | None = None
    waiting: int = 0
    """Jobs that stand aside, up to a bound."""


@operation(Mode.ONE)
def pause_task(task: str, reason: str | None, by: str | None, until: int | None) -> Op[None]:
    """Let no job of the task begin until that time, or until it is resumed; what runs goes on."""
    yield Statement("pause_task", {"task": task, "reason": reason, "by": by, "until": until})


@operation(Mode.ONE)
def resume_task(task: str) -> Op[None]:
    """Let jobs of the task begin again; those that stand aside come back with the next rounds."""
    yield Statement("resume_task", {"task": task})


@operation(Mode.READ)
def task_pauses() -> Op[list[TaskPause]]:
    """List the tasks that are paused, or still have jobs aside, by name."""
    found = yield Statement("task_pauses", {"bound": COUNT_MAX})
    pauses = [_pause(row, row["waiting"]) for row in found]
    return [each for each in pauses if each.paused_at is not None or each.waiting]


def task_pause(task: str) -> Op[TaskPause]:
    """Read whether a task is paused, without counting what stands aside."""
    found = yield Statement("task_pause", {"task": task})
    return _pause(found[0]) if found else TaskPause(task)


def hold_task(task: str) -> Op[TaskPause]:
    """Lock what is known of the pause of a task; returns it as it stands."""
    found = yield Statement("lock_task_pause", {"task": task})
    return _pause(found[0]) if found else TaskPause(task)


class Known(Struct, frozen=True):
    """What keeps claimed jobs from running, as far as a worker has heard."""

    paused_tasks: frozenset[str] = frozenset()
    limited: frozenset[str] = frozenset()
    """Queues whose jobs are to pass a gate."""

    def doubtful(self, jobs: Sequence[Claimed]) -> list[Claimed]:
        """Return the jobs about which the store is to be asked."""
        if not self.paused_tasks and not self.limited:
            return []
        return [job for job in jobs if job.task in self.paused_tasks or job.queue in self.limited]


def set_aside(claims: Sequence[Claimed], known: Known) -> Operation[list[Change]]:
    """Return what takes those claims out of the queue, uncharged, that are not to run now.

    It comes to those that it took: of tasks that are paused, or not let through by the gates of
    their queue. A job that was to be cancelled is cancelled instead.
    """
    steps = [
        (name, sorted((job.id, job.token) for job in jobs))
        for name, jobs in (
            ("set_aside", [job for job in claims if job.task in known.paused_tasks]),
            ("send_to_gate", [job for job in claims if job.queue in known.limited]),
        )
        if jobs
    ]

    def start() -> Op[list[Change]]:
        changes: list[Change] = []
        for name, rows in steps:
            found = yield Statement(name, batch=Batch(("id", "token"), rows))
            changes += [Change(row["id"], State(row["state"]), row["queue"]) for row in found]
        return changes

    return Operation("set_aside", Mode.ONE if len(steps) == 1 else Mode.TRANSACTION, start)


def come_back(limit: int) -> Op[set[int]]:
    """Take jobs whose pause is over from those that stand aside: they are to be looked at."""
    return {row["job_id"] for row in (yield Statement("come_back", {"limit": limit}))}


def _pause(row: Row, waiting: int = 0) -> TaskPause:
    until = row["paused_until"]
    if until is not None and until <= row["now"]:
        return TaskPause(row["task"], waiting=waiting)
    return TaskPause(
        row["task"], row["paused_at"], row["paused_reason"], row["paused_by"], until, waiting
    )
