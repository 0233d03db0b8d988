"""What people do to single jobs and to queues: cancel, re-run, delete, pause, resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from jobpipe.errors import InvalidTransition, JobNotFound
from jobpipe.model import marks
from jobpipe.model.job import JobRecord, Lane
from jobpipe.model.state import FINAL, WAITING, Reason, State
from jobpipe.store.ops import read, unique
from jobpipe.store.ops.claim import Queued, queued
from jobpipe.store.ops.forget import forget, kept_by_flows
from jobpipe.store.ops.read import TIMED, QueueRecord
from jobpipe.store.ops.rounds import await_round_of
from jobpipe.store.port import Batch, Mode, Op, Row, Statement, operation


@operation(Mode.TRANSACTION)
def cancel(id: int, reason: Reason) -> Op[State]:
    """Cancel a waiting job, or ask for the cancel of a running one.

    Returns the state after it: ``running`` means that its worker has been asked. Raises
    JobNotFound; InvalidTransition when the job has ended.
    """
    job = yield from _lock(id)
    state = State(job["state"])
    if state in FINAL:
        raise InvalidTransition(
            f"job {id} has ended ({state}); only a job that has not ended can be cancelled"
        )
    if state is State.RUNNING:
        yield Statement("request_cancel", {"id": id, "reason": reason})
        return state
    yield Statement("cancel_waiting", {"id": id, "reason": reason})
    return State.CANCELLED


@operation(Mode.TRANSACTION)
def rerun(id: int) -> Op[Queued | None]:
    """Queue an ended or parked job anew: same id, attempts from 0, history kept.

    None: it came to its gates, which let it in when they open.

    Raises JobNotFound; InvalidTransition when the job has not ended, when another job holds its
    unique key, or when what it comes after has not ended as it has to.
    """
    job = yield from _lock(id)
    state = State(job["state"])
    if state not in FINAL and state is not State.PARKED:
        raise InvalidTransition(f"job {id} is {state}; only a job that has ended can be re-run")
    yield from _check_parents(id, job["marks"])
    if job["unique_key"] is not None:
        yield from unique.take_anew(id, job["unique_key"])
    found = yield Statement("rerun", {"id": id})
    yield Statement("note_rerun", {"id": id})
    return queued(found[0]) if found[0]["rank"] is not None else None


def _check_parents(id: int, its_marks: int | None) -> Op[None]:
    """Refuse to run a node anew whose place in the flow is lost."""
    if not (its_marks or 0) & marks.DEPENDENT:
        return
    for row in (yield Statement("unfit_parents", {"id": id})):
        raise InvalidTransition(
            f"job {id} comes after {row['parent_id']}, which has not ended as it has to",
            help="Re-run the flow: it brings back what failed, and what comes after that.",
        )


class Arguments(NamedTuple):
    """Arguments of a job as they are stored, and their version; None means the first."""

    text: str | None
    version: int | None


class Patch(Struct, frozen=True, kw_only=True):
    """What is to change of a job that waits; None leaves it."""

    priority: int | None = None
    queue: str | None = None
    run_at: int | None = None
    """Earliest start; one that has passed means now."""
    args: Callable[[JobRecord], Arguments] | None = None
    """Tells the arguments that it gets; may refuse."""


class Patched(Struct, frozen=True):
    """What a patched job does to those who look for work."""

    queued: Queued | None
    """Where it waits now, if it may run."""
    due_in_us: int | None
    """How much later it starts, if it waits for a time."""


@operation(Mode.TRANSACTION)
def patch(id: int, wanted: Patch) -> Op[Patched]:
    """Move a job that waits to another lane, or to another time, or give it other arguments.

    In a new lane it is the last. Raises JobNotFound; InvalidTransition when it does not wait, or
    is to get a time though it waits for something else.
    """
    job = yield from hold(id)
    if job is None:
        raise JobNotFound(f"there is no job {id}")
    _check_patchable(job, wanted)
    now: int = (yield Statement("ping"))[0]["now"]
    lane = Lane(
        wanted.queue or job.queue, job.priority if wanted.priority is None else wanted.priority
    )
    state = _state_at(job, wanted.run_at, now)
    run_at = job.run_at if wanted.run_at is None else wanted.run_at
    due_at = job.due_at if wanted.run_at is None else _due(run_at, job.expires_at)
    yield Statement("note_lanes", batch=Batch(("queue", "priority"), [(lane.queue, lane.priority)]))
    args = wanted.args(job) if wanted.args else Arguments(None, None)
    keeps_rank = job.state is State.QUEUED and lane == Lane(job.queue, job.priority)
    (row,) = yield Statement(
        "patch_job",
        {
            "id": id,
            "queue": lane.queue,
            "priority": lane.priority,
            "state": state,
            "run_at": run_at,
            "due_at": due_at if state in TIMED else None,
            "queued_at": _queued_at(job, state, now),
            "keeps_rank": keeps_rank,
            "args": args.text,
            "version": args.version,
        },
    )
    if state in TIMED:
        return Patched(None, max(0, (due_at or now) - now))
    return Patched(queued(row) if state is State.QUEUED else None, None)


def _check_patchable(job: JobRecord, wanted: Patch) -> None:
    if job.state not in WAITING and job.state is not State.PARKED:
        raise InvalidTransition(
            f"job {job.id} is {job.state}; only a job that waits can be changed"
        )
    if wanted.run_at is not None and job.state in (State.PARKED, State.BLOCKED):
        raise InvalidTransition(
            f"job {job.id} is {job.state}; it does not wait for a time",
            help="Change its queue or priority, cancel it, or let go what it waits for.",
        )


def _state_at(job: JobRecord, run_at: int | None, now: int) -> State:
    if run_at is None:
        return job.state
    if run_at <= now:
        if job.state is State.QUEUED:
            return State.QUEUED
        return State.BLOCKED if (job.marks or 0) & marks.GATED else State.QUEUED
    return State.SCHEDULED if job.state is State.QUEUED else job.state


def _due(run_at: int | None, expires_at: int | None) -> int | None:
    return min((time for time in (run_at, expires_at) if time is not None), default=None)


def _queued_at(job: JobRecord, state: State, now: int) -> int | None:
    if state is State.QUEUED:
        return job.queued_at if job.state is State.QUEUED else now
    return job.queued_at if state is job.state else None


@operation(Mode.TRANSACTION)
def delete_job(id: int) -> Op[State | None]:
    """Delete a job that has ended, with all that belongs to it: history, log, key and the rest.

    Returns the state in which it found the job: nothing was deleted unless that is a final one.
    None: there is no such job.
    """
    yield from await_round_of([id])
    found = yield Statement("lock_job", {"id": id})
    if not found:
        return None
    state, marked = State(found[0]["state"]), [id] if found[0]["marks"] else []
    if state in FINAL:
        if (yield from kept_by_flows(marked)):
            raise InvalidTransition(
                f"job {id} belongs to a flow that has not ended",
                help="Wait for the end of the flow, or cancel it.",
            )
        yield Statement("prune", {"ids": [id]})
        yield from forget(marked)
    return state


@operation(Mode.ONE)
def pause_queue(
    name: str, reason: str | None, by: str | None = None, until: int | None = None
) -> Op[None]:
    """Stop workers from taking jobs of this queue until that time, or until it is resumed."""
    params = {"name": name, "reason": reason, "by": by, "until": until}
    yield Statement("pause_queue", params)


@operation(Mode.ONE)
def resume_queue(name: str) -> Op[None]:
    """Let workers take jobs of this queue again."""
    yield Statement("resume_queue", {"name": name})


def hold(id: int) -> Op[JobRecord | None]:
    """Lock a job for the rest of the transaction; returns it as it stands, or None."""
    found = yield Statement("lock_job", {"id": id})
    return (yield from read.job(id).start()) if found else None


def hold_to_delete(id: int) -> Op[JobRecord | None]:
    """Lock a job like ``hold``, after the round of admission that may write to it."""
    yield from await_round_of([id])
    return (yield from hold(id))


def hold_queue(name: str) -> Op[QueueRecord]:
    """Lock what is known of a queue; returns it as it stands."""
    found = yield Statement("lock_queue", {"name": name})
    return read.queue_record(found[0]) if found else QueueRecord(name)


def _lock(id: int) -> Op[Row]:
    found = yield Statement("lock_job", {"id": id})
    if not found:
        raise JobNotFound(f"there is no job {id}")
    return found[0]
