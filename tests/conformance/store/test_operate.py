"""Operations: every job that is meant is steered once, whatever happens between two slices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobpipe.errors import InvalidTransition, OperationNotFound
from jobpipe.model.audit import Actor
from jobpipe.model.filter import Filter
from jobpipe.model.job import Lane
from jobpipe.model.operation import (
    OperationAction,
    OperationParams,
    OperationRecord,
    OperationState,
)
from jobpipe.model.state import Reason, State
from jobpipe.model.unique import Scope, Uniqueness
from jobpipe.policy.query import parse
from jobpipe.store.ops import audit, operate, steer, worker
from tests.conformance.clock import DAY, MINUTE
from tests.conformance.lab import Lab, new_job

ADA = Actor("ada", "cli")


def order(lab: Lab, action: str, q: str, **params: Any) -> int:
    given = OperationParams(**params)
    begun = lab.run(operate.begin(OperationAction(action), q, given, ADA))
    assert begun.id is not None
    return begun.id


def carried_out(lab: Lab, id: int) -> OperationRecord:
    while (step := lab.run(operate.advance(id))) is not None:
        if step.record.state is not OperationState.RUNNING:
            return step.record
    raise AssertionError("it had ended before")


def sums(done: OperationRecord) -> tuple[int, int, int]:
    return done.matched, done.changed, done.refused


def test_waiting_jobs_are_cancelled_and_running_ones_asked(lab: Lab) -> None:
    run = lab.claimed(queue="mail")
    parked = lab.finished(State.PARKED, queue="mail")
    ended = lab.finished(State.FAILED, queue="mail")
    waits = [lab.new(queue="mail"), lab.new(queue="mail", delay_us=MINUTE)]
    other = lab.new(queue="else")
    before = lab.job(ended)
    done = carried_out(lab, order(lab, "cancel", "queue:mail", reason=Reason.BY_DEPLOY))
    assert sums(done) == (5, 4, 1)
    assert done.state is OperationState.DONE
    assert done.finished_at is not None
    assert [lab.job(id).state for id in (*waits, parked)] == [State.CANCELLED] * 3
    assert [lab.job(id).reason for id in (*waits, parked)] == [Reason.BY_DEPLOY] * 3
    assert lab.job(run.id).state is State.RUNNING
    assert lab.job(run.id).cancel_requested_at is not None
    assert lab.job(ended) == before
    assert lab.job(other).state is State.QUEUED
    assert lab.counts() == lab.recount()


def test_an_operation_is_audited_once_with_who_and_what(lab: Lab) -> None:
    lab.enqueue([new_job()] * 3)
    id = order(lab, "cancel", "state:queued")
    assert lab.run(audit.audit(None, 10)) == []
    carried_out(lab, id)
    (note,) = lab.run(audit.audit(None, 10))
    assert (note.who, note.via, note.action, note.job_id) == ("ada", "cli", "cancel_jobs", None)
    said = {"operation": id, "state": "done", "matched": 3, "changed": 3, "refused": 0}
    assert json.loads(note.after or "") == said


def test_ended_jobs_run_once_more(lab: Lab) -> None:
    failed = [lab.finished(State.FAILED, queue="alone") for _ in range(3)]
    waits = lab.new(queue="alone")
    id = order(lab, "rerun", "state:failed,queued")
    done = carried_out(lab, id)
    assert sums(done) == (4, 3, 1)
    assert [lab.job(each).state for each in failed] == [State.QUEUED] * 3
    assert [lab.job(each).reruns for each in failed] == [1] * 3
    assert lab.job(waits).reruns == 0
    claimed = lab.claim(lab.worker(), 9, [Lane("alone", 0)])
    assert [job.id for job in claimed] == [waits, *failed]
    assert lab.counts() == lab.recount()


@pytest.mark.parametrize("scope", [Scope.WAITING, Scope.LIVE])
def test_a_rerun_leaves_jobs_alone_whose_key_another_holds(lab: Lab, scope: Scope) -> None:
    unique = Uniqueness(scope=scope)
    first = lab.finished(State.FAILED, queue="alone", unique=unique, unique_key="k")
    plain = lab.finished(State.FAILED, queue="alone")
    holder = lab.new(queue="alone", unique=unique, unique_key="k")
    before = lab.job(first)
    id = order(lab, "rerun", "state:failed")
    assert sums(carried_out(lab, id)) == (2, 1, 1)
    assert lab.job(first) == before
    assert lab.job(plain).state is State.QUEUED
    lab.run(steer.cancel(holder, Reason.BY_USER))
    assert sums(carried_out(lab, order(lab, "rerun", "state:failed"))) == (1, 1, 0)
    again = lab.enqueue([new_job(queue="alone", unique=unique, unique_key="k")])[0]
    assert (again.id, again.created) == (first, False)


def test_ended_jobs_are_deleted(lab: Lab) -> None:
    ended = [lab.finished(State.SUCCEEDED, queue="a"), lab.finished(State.FAILED, queue="a")]
    waits = lab.new(queue="a")
    done = carried_out(lab, order(lab, "delete", "queue:a"))
    assert sums(done) == (3, 2, 1)
    rows = lab.place.sql("SELECT id FROM {p}job")
    assert [row["id"] for row in rows] == [waits]
    assert ended[0] not in [row["id"] for row in rows]
    assert lab.counts() == lab.recount()


def test_waiting_jobs_are_moved(lab: Lab) -> None:
    ids = [lab.new(tags='["eu"]') for _ in range(3)]
    timed = lab.new(tags='["eu"]', delay_us=MINUTE)
    run = lab.claimed(tags='["eu"]')
    done = carried_out(lab, order(lab, "move", "tag:eu", queue="mail", priority=7))
    assert sums(done) == (5, 4, 1)
    assert [lab.job(id).queue for id in (*ids, timed)] == ["mail"] * 4
    assert (lab.job(timed).state, lab.job(run.id).queue) == (State.SCHEDULED, "alone")
    assert Lane("mail", 7) in lab.run(worker.control(lab.worker())).lanes
    assert [job.id for job in lab.claim(lab.worker(), 9, [Lane("mail", 7)])] == ids


def test_a_move_to_a_time_puts_jobs_off(lab: Lab) -> None:
    id, later = lab.new(), lab.now() + DAY
    done = carried_out(lab, order(lab, "move", "state:queued", run_at=later))
    assert sums(done) == (1, 1, 0)
    assert (lab.job(id).state, lab.job(id).run_at) == (State.SCHEDULED, later)


def test_younger_jobs_are_left_alone(lab: Lab) -> None:
    old = lab.new()
    id = order(lab, "cancel", "state:queued age<1h")
    young = lab.new()
    lab.clock.advance(DAY)  # ages count up to the order
    assert sums(carried_out(lab, id)) == (1, 1, 0)
    assert lab.job(old).state is State.CANCELLED
    assert lab.job(young).state is State.QUEUED


@pytest.mark.parametrize("q", ["state:queued", "queue:default", "state:queued,failed tag:x"])
def test_each_slice_goes_on_where_the_last_one_ended(
    lab: Lab, q: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operate, "SLICE", 3)
    ids = [each.id for each in lab.enqueue([new_job(tags='["x"]') for _ in range(10)])]
    failed = lab.finished(State.FAILED, queue="alone", tags='["x"]')
    id = order(lab, "cancel", q)
    seen = []
    while (step := lab.run(operate.advance(id))) is not None:
        seen.append(step.record.changed)
        assert [lab.job(each).state for each in ids].count(State.CANCELLED) == seen[-1]
    assert seen[-1] == 10
    assert sorted(set(seen)) == [3, 6, 9, 10]
    ended = lab.run(operate.find(id))
    assert ended is not None
    assert (ended.state, ended.position >= ids[-1]) == (OperationState.DONE, True)
    assert lab.job(failed).state is State.FAILED


def test_what_nobody_is_meant_by_is_passed_quickly(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operate, "SLICE", 2)
    lab.enqueue([new_job() for _ in range(19)])
    last = lab.new(tags='["x"]')
    id = order(lab, "cancel", "tag:x")
    assert sums(carried_out(lab, id)) == (1, 1, 0)
    assert lab.job(last).state is State.CANCELLED


def test_two_who_carry_it_out_do_no_job_twice(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "SLICE", 4)
    for _ in range(12):
        lab.finished(State.FAILED, queue="alone")
    id = order(lab, "rerun", "state:failed,queued")
    for _ in range(9):
        lab.run_at_once([operate.advance(id) for _ in range(3)])
    done = lab.run(operate.find(id))
    assert done is not None
    assert (done.state, sums(done)) == (OperationState.DONE, (12, 12, 0))
    assert lab.place.sql("SELECT DISTINCT reruns FROM {p}job") == [{"reruns": 1}]


def test_a_cancelled_operation_stops(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "SLICE", 2)
    lab.enqueue([new_job()] * 5)
    id = order(lab, "cancel", "state:queued")
    lab.run(operate.advance(id))
    assert lab.run(operate.running()) == [id]
    stopped = lab.run(operate.cancel(id))
    assert (stopped.state, stopped.changed) == (OperationState.CANCELLED, 2)
    assert lab.run(operate.advance(id)) is None
    assert lab.run(operate.running()) == []
    assert lab.counts()["default", State.QUEUED] == 3
    (note,) = lab.run(audit.audit(None, 10))
    assert json.loads(note.after or "")["state"] == "cancelled"
    with pytest.raises(InvalidTransition, match=f"operation {id} has ended \\(cancelled\\)"):
        lab.run(operate.cancel(id))
    with pytest.raises(OperationNotFound):
        lab.run(operate.cancel(99))


def test_a_failed_operation_tells_why(lab: Lab) -> None:
    id = order(lab, "cancel", "state:queued")
    lab.run(operate.fail(id, "ValueError: no"))
    found = lab.run(operate.find(id))
    assert found is not None
    assert (found.state, found.error) == (OperationState.FAILED, "ValueError: no")


def test_a_preview_changes_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [each.id for each in lab.enqueue([new_job()] * 12)]
    failed = lab.finished(State.FAILED)
    seen = preview(lab, "cancel", "state:queued,failed")
    assert sums(seen) == (13, 12, 1)
    assert (seen.first_ids, seen.more, seen.id) == (tuple(ids[:10]), False, None)
    assert (seen.position, seen.last_id) == (0, 0)
    assert lab.job(failed).state is State.FAILED
    assert lab.counts() == lab.recount()
    assert lab.place.sql("SELECT count(*) AS n FROM {p}operation") == [{"n": 0}]
    monkeypatch.setattr(operate, "SLICE", 3)
    monkeypatch.setattr(operate, "PREVIEW_MAX", 6)
    seen = preview(lab, "cancel", "queue:default")
    assert (seen.matched, seen.more) == (6, True)
    assert preview(lab, "delete", "tag:none").first_ids == ()


def preview(lab: Lab, action: str, q: str) -> OperationRecord:
    seen = operate.unseen(OperationAction(action), q, OperationParams(), ADA)
    return lab.run(operate.preview(seen, Filter(terms=parse(q)), lambda: True))


def test_operations_are_listed_newest_first(lab: Lab) -> None:
    ids = [order(lab, "cancel", f"tag:{n}") for n in range(3)]
    carried_out(lab, ids[1])
    assert [each.id for each in lab.run(operate.newest(None, 2, None))] == ids[:0:-1]
    assert [each.id for each in lab.run(operate.newest(ids[1], 9, None))] == ids[:1]
    assert [each.id for each in lab.run(operate.newest(None, 9, "done"))] == [ids[1]]
    assert lab.run(operate.find(99)) is None
    assert lab.run(worker.control(lab.worker())).has_operations


def test_ended_operations_are_forgotten_in_the_end(lab: Lab) -> None:
    ended, runs = order(lab, "cancel", "tag:a"), order(lab, "cancel", "tag:b")
    carried_out(lab, ended)
    assert lab.run(operate.prune_operations(DAY, 10)) == 0
    lab.clock.advance(2 * DAY)
    assert lab.run(operate.prune_operations(DAY, 10)) == 1
    assert [each.id for each in lab.run(operate.newest(None, 9, None))] == [runs]
