"""Who changed what: noted with the change, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from jobpipe.app import steering
from jobpipe.app.actor import acting
from jobpipe.app.views import job_view
from jobpipe.errors import InvalidTransition, JobNotFound, PreconditionFailed, QueueFull
from jobpipe.model.audit import Action, Actor, AuditRecord
from jobpipe.model.job import Lane
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import audit, read, steer
from jobpipe.store.ops.enqueue import enqueue, enqueue_together
from jobpipe.store.port import Mode, Operation
from tests.conformance.clock import DAY
from tests.conformance.lab import LANE, Lab, new_job

ADA = Actor("ada", "http", "r1")
BOB = Actor("bob", "cli")


def rows(lab: Lab, **where: Any) -> list[AuditRecord]:
    return lab.run(audit.audit(None, 100, **where))


def told(record: AuditRecord) -> tuple[Any, ...]:
    return (record.who, record.via, record.request_id, record.action, record.job_id, record.queue)


def cancel(id: int, version: str | None = None) -> Operation[Any]:
    order = steer.cancel(id, Reason.BY_USER)
    return steering.steered(Action.CANCEL, id, order, version)


def pause(name: str, reason: str | None) -> Operation[None]:
    return steering.steered_queue(
        Action.PAUSE_QUEUE, name, lambda by: steer.pause_queue(name, reason, by)
    )


def test_a_job_of_the_library_leaves_no_note(lab: Lab) -> None:
    lab.enqueue([new_job(), new_job()])
    assert rows(lab) == []


def test_a_request_is_one_note_however_many_jobs_it_stores(lab: Lab) -> None:
    before = lab.now()
    (one,) = lab.enqueue([new_job(queue="mail", priority=3, by=ADA)])
    many = lab.enqueue([new_job(args=f'{{"n":{n}}}', by=BOB) for n in range(3)])
    second, first = rows(lab)
    assert told(first) == ("ada", "http", "r1", "enqueue", one.id, "mail")
    assert first.before is None
    assert json.loads(first.after or "") == {"task": "t", "priority": 3, "state": "queued"}
    assert before <= first.at <= lab.now()
    assert told(second) == ("bob", "cli", None, "enqueue", None, "default")
    assert json.loads(second.after or "") == {
        "count": 3,
        "first_id": many[0].id,
        "last_id": many[2].id,
        "task": "t",
    }


def test_requests_that_share_a_statement_have_a_note_each(lab: Lab) -> None:
    lab.enqueue([new_job()])
    twin = replace(ADA)
    jobs = [new_job(by=ADA), new_job(), new_job(by=twin), new_job(by=BOB)]
    operation = enqueue_together(jobs)
    assert operation.mode is Mode.TRANSACTION
    answers = lab.run(operation)
    found = [(row.who, row.job_id) for row in reversed(rows(lab))]
    assert found == [("ada", answers[0].id), ("ada", answers[2].id), ("bob", answers[3].id)]


def test_only_what_was_stored_is_noted(lab: Lab) -> None:
    jobs = [new_job(idempotency_key="k", by=ADA)]
    (first,) = lab.enqueue(jobs)
    assert lab.enqueue(jobs) == [replace(first, created=False)]
    with pytest.raises(QueueFull):
        lab.enqueue([new_job(by=ADA)], max_queued=1)
    assert [row.job_id for row in rows(lab)] == [first.id]


def test_a_cancel_tells_who_and_how_the_job_stood(lab: Lab) -> None:
    id = lab.new()
    with acting(ADA):
        order = cancel(id)
    (state, record) = lab.run(order)
    assert (state, record.state) == (State.CANCELLED, State.CANCELLED)
    (row,) = rows(lab)
    assert told(row) == ("ada", "http", "r1", "cancel", id, "default")
    before, after = json.loads(row.before or ""), json.loads(row.after or "")
    assert before == {"task": "t", "state": "queued", "queue": "default", "priority": 0}
    assert after.pop("cancel_requested_at").endswith("Z")
    assert after == {**before, "state": "cancelled", "reason": "by_user"}


def test_what_is_refused_or_changes_nothing_leaves_no_note(lab: Lab) -> None:
    ended = lab.finished(State.SUCCEEDED)
    with pytest.raises(InvalidTransition):
        lab.run(cancel(ended))
    with pytest.raises(JobNotFound):
        lab.run(cancel(ended + 1_000))
    running = lab.claimed()
    lab.run(cancel(running.id))
    lab.run(cancel(running.id))
    resume = steering.steered_queue(Action.RESUME_QUEUE, "q", lambda _by: steer.resume_queue("q"))
    lab.run(resume)
    assert [(row.who, row.job_id) for row in rows(lab)] == [("python", running.id)]


def test_a_deleted_job_leaves_its_note(lab: Lab) -> None:
    id = lab.finished(State.FAILED)
    result = lab.run(steering.steered(Action.DELETE, id, steer.delete_job(id)))
    assert result == (State.FAILED, None)
    (row,) = rows(lab, job_id=id)
    assert (row.action, row.after) == ("delete", None)
    assert json.loads(row.before or "")["state"] == "failed"


def test_an_order_to_another_version_is_refused(lab: Lab) -> None:
    id = lab.new()
    version = steering.etag(job_view(lab.job(id)))
    lab.claim(lab.worker(), 1, [LANE])
    with pytest.raises(PreconditionFailed, match=f"job {id} has changed"):
        lab.run(cancel(id, version))
    assert lab.job(id).cancel_requested_at is None
    assert lab.run(cancel(id, steering.etag(job_view(lab.job(id)))))[0] is State.RUNNING


def test_of_two_orders_to_one_version_one_is_carried_out(lab: Lab) -> None:
    id = lab.finished(State.FAILED)
    version = steering.etag(job_view(lab.job(id)))

    def attempt() -> Operation[Any]:
        return steering.steered(Action.RERUN, id, steer.rerun(id), version)

    lab.run(attempt())
    with pytest.raises(PreconditionFailed):
        lab.run(attempt())
    assert lab.job(id).reruns == 1


def test_a_paused_queue_tells_by_whom(lab: Lab) -> None:
    with acting(ADA):
        lab.run(pause("mail", "flood"))
    (queue,) = lab.run(read.queues())
    assert (queue.name, queue.paused_reason, queue.paused_by) == ("mail", "flood", "ada")
    lab.run(
        steering.steered_queue(Action.RESUME_QUEUE, "mail", lambda _: steer.resume_queue("mail"))
    )
    (queue,) = lab.run(read.queues())
    assert (queue.paused_at, queue.paused_reason, queue.paused_by) == (None, None, None)
    resumed, paused = rows(lab)
    assert told(paused) == ("ada", "http", "r1", "pause_queue", None, "mail")
    assert (paused.before, paused.after) == ('{"paused":false}', '{"paused":true,"reason":"flood"}')
    assert (resumed.who, resumed.after) == ("python", '{"paused":false}')


def test_the_audit_is_read_newest_first_in_pages(lab: Lab) -> None:
    answers = [lab.enqueue([new_job(by=ADA)])[0] for _ in range(5)]
    page = lab.run(audit.audit(None, 2))
    assert [row.job_id for row in page] == [answers[4].id, answers[3].id]
    page = lab.run(audit.audit(page[-1].id, 2))
    assert [row.job_id for row in page] == [answers[2].id, answers[1].id]
    lab.run(cancel(answers[2].id))
    own = rows(lab, job_id=answers[2].id)
    assert [row.action for row in own] == ["cancel", "enqueue"]


def test_old_notes_are_pruned_in_steps(lab: Lab) -> None:
    for _ in range(3):
        lab.enqueue([new_job(by=ADA)])
    lab.clock.advance(2 * DAY)
    lab.enqueue([new_job(by=BOB)])
    assert lab.run(audit.prune_audit(DAY, 2)) == 2
    assert lab.run(audit.prune_audit(DAY, 2)) == 1
    assert lab.run(audit.prune_audit(DAY, 2)) == 0
    assert [row.who for row in rows(lab)] == ["bob"]


def test_an_audited_enqueue_notes_new_lanes_too(lab: Lab) -> None:
    lab.run(enqueue([new_job(queue="new", by=ADA)], known_lanes=[Lane("other", 0)]))
    assert [(row.who, row.queue) for row in rows(lab)] == [("ada", "new")]
