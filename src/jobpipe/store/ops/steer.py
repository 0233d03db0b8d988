"""What people do to single jobs and to queues: cancel, re-run, delete, pause, resume."""

from __future__ import annotations

from jobpipe.errors import InvalidTransition, JobNotFound
from jobpipe.model.job import JobRecord
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.store.ops import read
from jobpipe.store.ops.claim import Queued, queued
from jobpipe.store.ops.read import QueueRecord
from jobpipe.store.port import Mode, Op, Row, Statement, operation


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
        yield Statement("request_cancel", {"id": id})
        return state
    yield Statement("cancel_waiting", {"id": id, "reason": reason})
    return State.CANCELLED


@operation(Mode.TRANSACTION)
def rerun(id: int) -> Op[Queued]:
    """Queue an ended or parked job anew: same id, attempts from 0, history kept.

    Raises JobNotFound; InvalidTransition when the job has not ended.
    """
    job = yield from _lock(id)
    state = State(job["state"])
    if state not in FINAL and state is not State.PARKED:
        raise InvalidTransition(f"job {id} is {state}; only a job that has ended can be re-run")
    found = yield Statement("rerun", {"id": id})
    return queued(found[0])


@operation(Mode.TRANSACTION)
def delete_job(id: int) -> Op[State | None]:
    """Delete a job that has ended, with all that belongs to it: history, log, key and the rest.

    Returns the state in which it found the job: nothing was deleted unless that is a final one.
    None: there is no such job.
    """
    found = yield Statement("lock_job", {"id": id})
    if not found:
        return None
    state = State(found[0]["state"])
    if state in FINAL:
        yield Statement("prune", {"ids": [id]})
    return state


@operation(Mode.ONE)
def pause_queue(name: str, reason: str | None, by: str | None = None) -> Op[None]:
    """Stop workers from taking jobs of this queue; what runs goes on."""
    yield Statement("pause_queue", {"name": name, "reason": reason, "by": by})


@operation(Mode.ONE)
def resume_queue(name: str) -> Op[None]:
    """Let workers take jobs of this queue again."""
    yield Statement("resume_queue", {"name": name})


def hold(id: int) -> Op[JobRecord | None]:
    """Lock a job for the rest of the transaction; returns it as it stands, or None."""
    found = yield Statement("lock_job", {"id": id})
    return (yield from read.job(id).start()) if found else None


def hold_queue(name: str) -> Op[QueueRecord]:
    """Lock what is known of a queue; returns it as it stands."""
    found = yield Statement("lock_queue", {"name": name})
    return read.queue_record(found[0]) if found else QueueRecord(name, None, None)


def _lock(id: int) -> Op[Row]:
    found = yield Statement("lock_job", {"id": id})
    if not found:
        raise JobNotFound(f"there is no job {id}")
    return found[0]
