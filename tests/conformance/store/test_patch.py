"""Jobs that wait are moved to other lanes and other times."""

from __future__ import annotations

from typing import Any

import pytest

from jobpipe.errors import InvalidTransition, JobNotFound
from jobpipe.model.job import Lane
from jobpipe.model.state import State
from jobpipe.store.ops import steer, upkeep, worker
from jobpipe.store.ops.steer import Patch, Patched
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import LANE, Lab
from tests.conformance.store.gates import group, let_in, slots, stored, wishing


def patch(lab: Lab, id: int, **wanted: Any) -> Patched:
    return lab.run(steer.patch(id, Patch(**wanted)))


def test_a_job_becomes_the_last_of_its_new_lane(lab: Lab) -> None:
    first = lab.new()
    others = [lab.new(queue="mail", priority=5) for _ in range(2)]
    before = lab.job(first)
    patched = patch(lab, first, queue="mail", priority=5)
    assert patched.queued is not None
    assert (patched.queued.id, patched.queued.lane) == (first, Lane("mail", 5))
    after = lab.job(first)
    assert (after.queue, after.priority, after.state) == ("mail", 5, State.QUEUED)
    assert after.queued_at == before.queued_at
    assert lab.claim(lab.worker(), 5) == []
    claimed = lab.claim(lab.worker(), 5, [Lane("mail", 5)])
    assert [job.id for job in claimed] == [*others, first]
    assert claimed[-1].rank == patched.queued.rank


def test_a_new_lane_is_noted(lab: Lab) -> None:
    id = lab.new()
    patch(lab, id, priority=-100)
    lanes = lab.run(worker.control(lab.worker())).lanes
    assert lanes == {LANE, Lane("default", -100)}


def test_in_its_own_lane_a_job_keeps_its_place(lab: Lab) -> None:
    first, second = lab.new(), lab.new()
    patch(lab, first, queue="default", priority=0)
    patch(lab, first, run_at=lab.now() - SECOND)
    assert [job.id for job in lab.claim(lab.worker(), 2)] == [first, second]


def test_a_queued_job_is_put_off_and_comes_back(lab: Lab) -> None:
    id = lab.new()
    later = lab.now() + MINUTE
    patched = patch(lab, id, run_at=later)
    assert patched.queued is None
    assert patched.due_in_us is not None
    assert 0 < patched.due_in_us <= MINUTE
    job = lab.job(id)
    assert (job.state, job.run_at, job.due_at) == (State.SCHEDULED, later, later)
    assert job.queued_at is None
    assert lab.claim(lab.worker(), 1) == []
    lab.clock.advance(MINUTE + SECOND)
    lab.run(upkeep.promote(10))
    assert lab.job(id).state is State.QUEUED


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRYING])
def test_a_job_that_waits_for_a_time_may_begin_at_once(lab: Lab, state: State) -> None:
    id = lab.finished(state)
    now = lab.now()
    patched = patch(lab, id, run_at=now, priority=7)
    assert patched.queued is not None
    job = lab.job(id)
    assert (job.state, job.due_at, job.run_at) == (State.QUEUED, None, now)
    assert job.queued_at is not None
    assert job.queued_at >= now
    (claimed,) = lab.claim(lab.worker(), 1, [Lane("alone", 7)])
    assert (claimed.id, claimed.attempt) == (id, job.attempt + 1)


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRYING])
def test_a_job_gets_another_time_and_stays_what_it_is(lab: Lab, state: State) -> None:
    id = lab.finished(state)
    later = lab.now() + 10 * MINUTE
    assert patch(lab, id, run_at=later, queue="other").queued is None
    job = lab.job(id)
    assert (job.state, job.queue, job.run_at, job.due_at) == (state, "other", later, later)


def test_a_scheduled_job_changes_its_lane_and_keeps_its_time(lab: Lab) -> None:
    id = lab.new(delay_us=MINUTE)
    before = lab.job(id)
    patched = patch(lab, id, priority=9)
    assert patched.queued is None
    after = lab.job(id)
    assert (after.state, after.run_at, after.due_at) == (before.state, before.run_at, before.due_at)
    assert after.priority == 9


def test_an_expiry_before_the_new_time_falls_due_first(lab: Lab) -> None:
    id = lab.new(expires_in_us=MINUTE)
    patch(lab, id, run_at=lab.now() + 5 * MINUTE)
    job = lab.job(id)
    assert job.due_at == job.expires_at


def test_a_parked_job_changes_its_lane_alone(lab: Lab) -> None:
    id = lab.finished(State.PARKED)
    assert patch(lab, id, queue="other") == Patched(None, None)
    job = lab.job(id)
    assert (job.state, job.queue) == (State.PARKED, "other")
    with pytest.raises(InvalidTransition, match=f"job {id} is parked"):
        patch(lab, id, run_at=1)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_an_ended_job_is_not_changed(lab: Lab, state: State) -> None:
    id = lab.finished(state)
    before = lab.job(id)
    with pytest.raises(InvalidTransition, match=f"job {id} is {state}"):
        patch(lab, id, priority=1)
    assert lab.job(id) == before


def test_a_running_job_is_not_changed(lab: Lab) -> None:
    running = lab.claimed()
    with pytest.raises(InvalidTransition, match="is running"):
        patch(lab, running.id, queue="other")
    with pytest.raises(JobNotFound):
        patch(lab, running.id + 1_000, queue="other")


def test_in_the_line_of_a_gate_the_new_priority_counts(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 4)
    assert let_in(lab) == ids[:1]
    patch(lab, ids[3], priority=7)
    patch(lab, ids[1], priority=-1)
    order = []
    for _ in range(3):
        for lane in (LANE, Lane("default", 7), Lane("default", -1)):
            for job in lab.claim(lab.worker(), 1, [lane]):
                lab.finish(job)
        order += let_in(lab)
    assert order == [ids[3], ids[2], ids[1]]


def test_in_a_group_the_order_stays(lab: Lab) -> None:
    ids = stored(lab, [wishing(group())] * 3)
    assert let_in(lab) == ids[:1]
    patch(lab, ids[2], priority=7)
    (job,) = lab.claim(lab.worker(), 1)
    lab.finish(job)
    assert let_in(lab) == [ids[1]]
