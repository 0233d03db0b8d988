"""The audit: who changed what, written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from jobpipe.model.audit import Action, AuditNote, AuditRecord
from jobpipe.model.job import Enqueued, NewJob
from jobpipe.store.port import Batch, Mode, Op, Statement, operation

COLUMNS = (
    "who",
    "via",
    "request_id",
    "action",
    "job_id",
    "queue",
    "before",
    "after",
)
NO_ID = 2**62

_json = msgspec.json.Encoder()


def facts(**said: Any) -> str:
    """Return facts as a JSON object, without those that are None."""
    return _json.encode({key: value for key, value in said.items() if value is not None}).decode()


def note(notes: Sequence[AuditNote]) -> Op[None]:
    """Write the notes, as a part of whatever they tell of."""
    if notes:
        rows = [
            (
                each.by.name,
                each.by.via,
                each.by.request_id,
                each.action.value,
                each.job_id,
                each.queue,
                each.before,
                each.after,
            )
            for each in notes
        ]
        yield Statement("note_audit", batch=Batch(COLUMNS, rows))


def enqueue_notes(jobs: Sequence[NewJob], answers: Sequence[Enqueued]) -> list[AuditNote]:
    """Tell what each request has stored: one note for all jobs that came with one request."""
    stored = [
        (job, answer)
        for job, answer in zip(jobs, answers, strict=True)
        if job.by is not None and answer.created
    ]
    return list(_by_request(stored))


def _by_request(stored: Sequence[tuple[NewJob, Enqueued]]) -> Iterator[AuditNote]:
    # Each request has an actor of its own, so this one and not an equal one tells them apart.
    for _, group in groupby(stored, key=lambda pair: id(pair[0].by)):
        request = list(group)
        (first, answer), last = request[0], request[-1][1]
        assert first.by is not None
        queues, tasks = {job.queue for job, _ in request}, {job.task for job, _ in request}
        task = first.task if len(tasks) == 1 else None
        queue = first.queue if len(queues) == 1 else None
        if len(request) == 1:
            after = facts(task=task, priority=first.priority, state=answer.state)
        else:
            after = facts(count=len(request), first_id=answer.id, last_id=last.id, task=task)
        yield AuditNote(
            by=first.by,
            action=Action.ENQUEUE,
            job_id=answer.id if len(request) == 1 else None,
            queue=queue,
            after=after,
        )


@operation(Mode.READ)
def audit(before: int | None, limit: int, job_id: int | None = None) -> Op[list[AuditRecord]]:
    """Return rows of the audit, newest first: those with an id below ``before``."""
    place = {"before": before or NO_ID, "limit": limit}
    if job_id is None:
        found = yield Statement("audit", place)
    else:
        found = yield Statement("audit_of_job", {**place, "job_id": job_id})
    return [
        AuditRecord(**{name: row[name] for name in AuditRecord.__struct_fields__}) for row in found
    ]


@operation(Mode.ONE)
def prune_audit(age_us: int, limit: int) -> Op[int]:
    """Delete the oldest rows beyond an age; returns how many, at most ``limit``."""
    return len((yield Statement("prune_audit", {"age_us": age_us, "limit": limit})))
