"""What people do to jobs and queues, as one transaction with the note that tells who did it.

An order that changes nothing leaves no note.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from jobpipe.app.actor import PYTHON, current
from jobpipe.app.views import JobView, job_view, plain, time_text
from jobpipe.errors import PreconditionFailed
from jobpipe.model.audit import Action, Actor, AuditNote
from jobpipe.model.job import JobRecord
from jobpipe.store.ops import audit, read, steer
from jobpipe.store.ops.gate_settings import GateRecord
from jobpipe.store.ops.read import QueueRecord
from jobpipe.store.port import Mode, Op, Operation

T = TypeVar("T")


def etag(view: JobView) -> str:
    """Return the version of a job: another one whenever anybody changed it.

    Progress and the place in a line do not count: who steers a job does not mind how far it is.
    """
    said = (
        view.id,
        view.state,
        view.reason,
        view.token,
        view.attempt,
        view.reruns,
        view.queue,
        view.priority,
        view.run_at,
        view.cancel_requested_at,
        view.args,
    )
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]


def steered(
    action: Action,
    id: int,
    order: Operation[T],
    if_version: str | None = None,
    hold: Callable[[int], Op[JobRecord | None]] = steer.hold,
) -> Operation[tuple[T, JobRecord | None]]:
    """Return the order about a job with its note; it comes to its result and the job after it.

    ``hold`` locks and reads the job. Raises PreconditionFailed when its version is no longer
    ``if_version``.
    """
    by = current() or PYTHON

    def start() -> Op[tuple[T, JobRecord | None]]:
        before = yield from hold(id)
        if before is not None and if_version is not None:
            _check_version(before, if_version)
        result = yield from order.start()
        after = yield from read.job(id).start()
        if before is not None:
            facts = partial(_job_facts, args=before.args)
            yield from _note(by, action, facts, before, after, job_id=id, queue=before.queue)
        return result, after

    return Operation(order.name, Mode.TRANSACTION, start)


def steered_queue(action: Action, name: str, order: Callable[[str], Operation[T]]) -> Operation[T]:
    """Return the order about a queue with its note; ``order`` is told who gives it."""
    by = current() or PYTHON
    given = order(by.name)

    def start() -> Op[T]:
        before = yield from steer.hold_queue(name)
        result = yield from given.start()
        after = yield from steer.hold_queue(name)
        yield from _note(by, action, _queue_facts, before, after, queue=name)
        return result

    return Operation(given.name, Mode.TRANSACTION, start)


def steered_gate(
    action: Action, hold: Callable[[], Op[GateRecord]], order: Callable[[str], Operation[T]]
) -> Operation[T]:
    """Return the order about a gate, or a task, with its note; ``hold`` locks and reads it."""
    by = current() or PYTHON
    given = order(by.name)

    def start() -> Op[T]:
        before = yield from hold()
        result = yield from given.start()
        after = yield from hold()
        yield from _note(by, action, _gate_facts, before, after)
        return result

    return Operation(given.name, Mode.TRANSACTION, start)


def _check_version(record: JobRecord, wanted: str) -> None:
    found = etag(job_view(record))
    if found != wanted:
        raise PreconditionFailed(
            f"job {record.id} has changed: its version is {found}, not {wanted}"
        )


def _note(
    by: Actor,
    action: Action,
    facts: Callable[[T], str],
    before: T | None,
    after: T | None,
    *,
    job_id: int | None = None,
    queue: str | None = None,
) -> Op[None]:
    was = None if before is None else facts(before)
    now = None if after is None else facts(after)
    if was != now:
        told = AuditNote(by=by, action=action, job_id=job_id, queue=queue, before=was, after=now)
        yield from audit.note([told])


def _job_facts(record: JobRecord, args: str) -> str:
    return audit.facts(
        args=None if record.args == args else "changed",
        task=record.task,
        state=record.state,
        reason=record.reason,
        queue=record.queue,
        priority=record.priority,
        run_at=time_text(record.run_at),
        reruns=record.reruns or None,
        cancel_requested_at=time_text(record.cancel_requested_at),
    )


def _gate_facts(record: GateRecord) -> str:
    return audit.facts(
        kind=record.kind,
        key=record.key,
        paused=record.paused_at is not None,
        reason=record.paused_reason,
        until=time_text(record.paused_until),
        override=plain(record.override),
    )


def _queue_facts(record: QueueRecord) -> str:
    return audit.facts(
        paused=record.paused_at is not None,
        reason=record.paused_reason,
        until=time_text(record.paused_until),
        max_queued=record.max_queued,
        concurrency=record.concurrency,
        rate=record.rate,
    )
