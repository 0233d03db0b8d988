"""Paused tasks: their jobs are set aside when a worker takes them, and come back afterwards.

Jobs are enqueued and claimed without a thought for pauses, which therefore cost nothing to those
that are not paused.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from jobpipe.model.change import Change
from jobpipe.model.job import Claimed
from jobpipe.model.state import State
from jobpipe.store.ops.look import Looked
from jobpipe.store.port import Batch, Mode, Op, Row, Statement, operation

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


def hold_task(task: str) -> Op[TaskPause]:
    """Lock what is known of the pause of a task; returns it as it stands."""
    found = yield Statement("lock_task_pause", {"task": task})
    return _pause(found[0]) if found else TaskPause(task)


@operation(Mode.ONE)
def set_aside(claims: Sequence[Claimed]) -> Op[list[Change]]:
    """Take claims whose task is paused out of the queue, uncharged; returns those that were.

    A job that was to be cancelled is cancelled instead.
    """
    batch = Batch(("id", "token"), sorted((job.id, job.token) for job in claims))
    found = yield Statement("set_aside", batch=batch)
    return [Change(row["id"], State(row["state"]), row["queue"]) for row in found]


def come_back(limit: int) -> Op[set[int]]:
    """Take jobs whose pause is over from those that stand aside: they are to be looked at."""
    return {row["job_id"] for row in (yield Statement("come_back", {"limit": limit}))}


def not_aside(free: Sequence[Looked]) -> Op[list[Looked]]:
    """Return the jobs that do not stand aside."""
    if not free:
        return []
    batch = Batch(("task", "id"), [(job.task, job.id) for job in free])
    aside = {row["job_id"] for row in (yield Statement("still_aside", batch=batch))}
    return [job for job in free if job.id not in aside]


def _pause(row: Row, waiting: int = 0) -> TaskPause:
    until = row["paused_until"]
    if until is not None and until <= row["now"]:
        return TaskPause(row["task"], waiting=waiting)
    return TaskPause(
        row["task"], row["paused_at"], row["paused_reason"], row["paused_by"], until, waiting
    )
