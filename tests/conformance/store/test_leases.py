"""Leases: who counts as dead, what a sweep takes back, and what a late worker may still do."""

from __future__ import annotations

import msgspec
import pytest

from jobpipe.model.job import Lane
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, steer
from jobpipe.store.ops import worker as ops
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import LANE, Lab, held, new_job

LEASE = 15 * SECOND


def test_a_worker_is_listed_until_it_ends(lab: Lab) -> None:
    worker = lab.worker("one")
    (record,) = lab.run(ops.workers())
    assert (record.id, record.name, record.host, record.pid) == (worker, "one", "here", 7)
    assert (record.pid_started, record.slots, record.expired) == ("1", 4, False)
    assert record.lease_until == record.seen_at + LEASE
    lab.run(ops.end_worker(worker))
    assert lab.run(ops.workers()) == []
    assert not lab.run(ops.renew(worker, LEASE, {}))


def test_a_worker_names_its_supervisor(lab: Lab) -> None:
    about = NewWorker(name="a", host="h", pid=7, pid_started="1", slots=1, queues=["*"])
    watched = msgspec.structs.replace(about, supervisor_pid=2**40, supervisor_started="77")
    for worker in (about, watched):
        lab.run(ops.register(worker, LEASE))
    alone, child = lab.run(ops.workers())
    assert (alone.supervisor_pid, alone.supervisor_started) == (None, "")
    assert (child.supervisor_pid, child.supervisor_started) == (2**40, "77")


def test_a_suspect_stays_one_when_its_worker_is_lost(lab: Lab) -> None:
    job = lab.claimed()
    lab.run(claim.give_back([held(job)], suspect=True))
    worker = lab.worker()
    lab.claim(worker, 1, [Lane("alone", 0)])
    lab.run(ops.sweep([worker]))
    (again,) = lab.claim(lab.worker(), 1, [Lane("alone", 0)])
    assert again.suspect


def test_a_renewed_lease_lasts(lab: Lab) -> None:
    worker = lab.worker()
    for _ in range(3):
        lab.clock.advance(10 * SECOND)
        assert lab.run(ops.renew(worker, LEASE, {}))
    assert lab.run(ops.sweep([])) == []
    lab.clock.advance(14 * SECOND)
    assert lab.run(ops.sweep([])) == []
    lab.clock.advance(2 * SECOND)
    assert [swept.worker_id for swept in lab.run(ops.sweep([]))] == [worker]


def test_only_the_stores_clock_ends_a_lease(lab: Lab) -> None:
    worker = lab.worker()
    assert not lab.run(ops.workers())[0].expired
    lab.clock.advance(16 * SECOND)
    assert lab.run(ops.workers())[0].expired
    lab.clock.advance(-16 * SECOND)
    assert lab.run(ops.sweep([])) == []
    assert lab.run(ops.renew(worker, LEASE, {}))


def test_a_sweep_queues_what_the_dead_held_at_its_old_rank_and_counts_one_loss(lab: Lab) -> None:
    first, second, third = (answer.id for answer in lab.enqueue([new_job()] * 3))
    worker = lab.worker()
    jobs = lab.claim(worker, 2)
    lab.clock.advance(MINUTE)
    (swept,) = lab.run(ops.sweep([]))
    assert (swept.worker_id, swept.failed) == (worker, 0)
    assert sorted((back.id, back.lane, back.rank) for back in swept.queued) == [
        (job.id, LANE, job.rank) for job in jobs
    ]
    record = lab.job(first)
    assert (record.state, record.attempt, record.losses) == (State.QUEUED, 0, 1)
    (told,) = lab.attempts(first)
    assert (told.token, told.outcome, told.reason) == (1, "lost", Reason.LOST)
    assert told.error is not None
    assert "died or lost touch" in told.error
    again = lab.claim(lab.worker("w2"))
    assert [job.id for job in again] == [first, second, third]
    assert [job.token for job in again] == [2, 2, 1]


def test_a_swept_worker_has_no_right_to_anything(lab: Lab) -> None:
    lab.new()
    worker = lab.worker()
    (job,) = lab.claim(worker)
    lab.clock.advance(MINUTE)
    lab.run(ops.sweep([]))
    assert not lab.run(ops.renew(worker, LEASE, {}))
    assert lab.finish(job) == []
    assert lab.run(claim.give_back([held(job)])) == []
    assert lab.run(claim.held(worker)) == []
    assert lab.job(job.id).state is State.QUEUED


def test_a_job_lost_too_often_fails(lab: Lab) -> None:
    id = lab.new(max_losses=3)
    for losses in (1, 2, 3):
        (job,) = lab.claim(lab.worker(f"w{losses}"))
        assert (job.token, job.attempt) == (losses, 1)
        lab.clock.advance(MINUTE)
        (swept,) = lab.run(ops.sweep([]))
        assert (len(swept.queued), swept.failed) == ((0, 1) if losses == 3 else (1, 0))
    record = lab.job(id)
    assert (record.state, record.reason, record.losses) == (State.FAILED, Reason.LOST, 3)
    assert record.error is not None
    assert record.finished_at is not None
    assert [told.outcome for told in lab.attempts(id)] == ["lost", "lost", "lost"]
    assert lab.counts() == {("default", State.FAILED): 1}


def test_a_job_that_may_not_be_lost_fails_at_once(lab: Lab) -> None:
    job = lab.claimed(max_losses=1)
    lab.clock.advance(MINUTE)
    lab.run(ops.sweep([]))
    record = lab.job(job.id)
    assert (record.state, record.reason) == (State.FAILED, Reason.LOST)


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(lab: Lab) -> None:
    job = lab.claimed()
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    lab.clock.advance(MINUTE)
    lab.run(ops.sweep([]))
    record = lab.job(job.id)
    assert (record.state, record.reason) == (State.CANCELLED, Reason.BY_USER)
    assert lab.counts() == {("alone", State.CANCELLED): 1}
    assert lab.place.sql("SELECT job_id FROM {p}cancel_request") == []


def test_a_sweep_leaves_the_living_and_the_finished_alone(lab: Lab) -> None:
    lab.enqueue([new_job()] * 3)
    dead, alive = lab.worker("dead"), lab.worker("alive", 60 * MINUTE)
    done, lost = lab.claim(dead, 2)
    (kept,) = lab.claim(alive)
    lab.finish(done)
    lab.clock.advance(MINUTE)
    (swept,) = lab.run(ops.sweep([]))
    assert [back.id for back in swept.queued] == [lost.id]
    assert lab.job(done.id).state is State.SUCCEEDED
    assert lab.job(kept.id).state is State.RUNNING
    assert lab.run(claim.held(alive)) == [held(kept)]


def test_a_worker_known_to_be_dead_is_swept_before_its_lease_ends(lab: Lab) -> None:
    lab.enqueue([new_job()] * 2)
    dead, late = lab.worker("dead"), lab.worker("late", SECOND)
    lab.claim(dead, 1)
    lab.claim(late, 1)
    lab.clock.advance(2 * SECOND)
    only = lab.run(ops.sweep([dead], only_known=True))
    assert [swept.worker_id for swept in only] == [dead]
    assert [swept.worker_id for swept in lab.run(ops.sweep([]))] == [late]


def test_a_worker_does_not_sweep_itself(lab: Lab) -> None:
    one, other = lab.worker("one", SECOND), lab.worker("other", SECOND)
    lab.clock.advance(2 * SECOND)
    assert [swept.worker_id for swept in lab.run(ops.sweep([], by=one))] == [other]


def test_a_claim_that_comes_in_after_the_sweep_is_found(lab: Lab) -> None:
    lab.new()
    worker = lab.worker()
    lab.run(ops.sweep([worker]))
    other = lab.worker("other", 60 * MINUTE)
    assert not lab.run(ops.control(other)).has_orphans
    (job,) = lab.claim(worker)
    assert lab.run(ops.control(other)).has_orphans
    (swept,) = lab.run(ops.sweep([], only_known=True))
    assert [back.id for back in swept.queued] == [job.id]
    assert not lab.run(ops.control(other)).has_orphans
    assert lab.finish(job) == []


def test_sweeps_at_once_take_back_once(lab: Lab) -> None:
    ids = [answer.id for answer in lab.enqueue([new_job()] * 20)]
    for n in range(4):
        lab.claim(lab.worker(f"w{n}"), 5)
    lab.clock.advance(MINUTE)
    answers = lab.run_at_once([ops.sweep([]) for _ in range(4)])
    back = [job.id for swept in answers for each in swept for job in each.queued]
    assert sorted(back) == ids
    assert {lab.job(id).losses for id in ids} == {1}
    assert lab.counts() == lab.recount() == {("default", State.QUEUED): 20}


def test_control_tells_cancels_lanes_pauses_and_frontiers(lab: Lab) -> None:
    one, other = lab.worker("one"), lab.worker("other")
    job = lab.claimed(queue="q", priority=3)
    lab.run(steer.pause_queue("q", "repairs"))
    lab.run(ops.renew(other, LEASE, {Lane("q", 3): 5, LANE: 9}))
    control = lab.run(ops.control(one))
    assert control.cancels == frozenset()
    assert control.lanes == {Lane("q", 3)}
    assert control.paused == {"q"}
    assert control.frontier == {Lane("q", 3): 5, LANE: 9}
    assert lab.run(ops.control(other)).frontier == {}
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    (holder,) = (each for each in lab.run(ops.workers()) if each.name == "w")
    assert lab.run(ops.control(holder.id)).cancels == {(job.id, job.token)}
    lab.run(ops.end_worker(other))
    assert lab.run(ops.control(one)).frontier == {}


def test_control_tells_in_which_lanes_something_is_queued(lab: Lab) -> None:
    worker = lab.worker()
    first, _ = lab.new(), lab.new()
    lab.new(queue="other")
    asked = {LANE: 0, Lane("empty", 0): 0}
    assert lab.run(ops.control(worker, after=asked)).ready == {LANE: first}
    assert lab.run(ops.control(worker)).ready == {}
    lab.claim(worker, 2)
    assert lab.run(ops.control(worker, after=asked)).ready == {}


def test_control_tells_of_the_other_workers_and_of_parked_jobs(lab: Lab) -> None:
    one, short, long = lab.worker("one"), lab.worker("short", SECOND), lab.worker("long", MINUTE)
    gone = lab.worker("gone")
    lab.run(ops.end_worker(gone))
    lab.clock.advance(2 * SECOND)
    known = {each.id: each for each in lab.run(ops.workers())}
    control = lab.run(ops.control(one))
    assert sorted(control.others, key=lambda each: each.id) == [known[short], known[long]]
    assert [each.expired for each in control.others if each.id == short] == [True]
    assert not control.has_parked
    lab.finish(lab.claimed(), State.PARKED, reason=Reason.UNKNOWN_TASK)
    assert lab.run(ops.control(one)).has_parked


@pytest.mark.parametrize("state", [State.RETRYING, State.SCHEDULED])
def test_a_job_that_waits_is_nobodys_loss(lab: Lab, state: State) -> None:
    job = lab.claimed()
    lab.finish(job, state)
    lab.clock.advance(MINUTE)
    (swept,) = lab.run(ops.sweep([]))
    assert swept.queued == ()
    assert lab.job(job.id).losses == 0
