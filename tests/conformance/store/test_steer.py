"""Cancel and re-run in every state; pausing queues."""

from __future__ import annotations

import pytest

from jobpipe.errors import InvalidTransition, JobNotFound
from jobpipe.model.job import Lane
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.store.ops import claim, read, steer, upkeep
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import LANE, Lab, held, new_job

REACHED = [state for state in State if state is not State.BLOCKED]


def job_in(lab: Lab, state: State) -> int:
    """Make a job that stands in this state."""
    match state:
        case State.SCHEDULED:
            return lab.new(queue="alone", delay_us=MINUTE)
        case State.QUEUED:
            return lab.new(queue="alone")
        case State.RUNNING:
            return lab.claimed().id
        case _:
            return lab.finished(state)


@pytest.mark.parametrize("state", REACHED)
def test_cancel_in_every_state(lab: Lab, state: State) -> None:
    id = job_in(lab, state)
    before = lab.job(id)
    if state in FINAL:
        with pytest.raises(InvalidTransition, match=rf"job {id} has ended \({state}\)"):
            lab.run(steer.cancel(id, Reason.BY_USER))
        assert lab.job(id) == before
        return
    after = lab.run(steer.cancel(id, Reason.BY_USER))
    record = lab.job(id)
    assert record.cancel_requested_at is not None
    if state is State.RUNNING:
        assert (after, record.state) == (State.RUNNING, State.RUNNING)
    else:
        assert (after, record.state) == (State.CANCELLED, State.CANCELLED)
        assert (record.reason, record.due_at) == (Reason.BY_USER, None)
        assert record.finished_at == record.cancel_requested_at
    assert lab.counts() == lab.recount() == {("alone", after): 1}


@pytest.mark.parametrize("state", REACHED)
def test_rerun_in_every_state(lab: Lab, state: State) -> None:
    id = job_in(lab, state)
    before = lab.job(id)
    if state not in FINAL and state is not State.PARKED:
        with pytest.raises(InvalidTransition, match=f"job {id} is {state}"):
            lab.run(steer.rerun(id))
        assert lab.job(id) == before
        return
    newest = lab.new(queue="alone")
    queued = lab.run(steer.rerun(id))
    assert (queued.id, queued.lane) == (id, Lane("alone", 0))
    record = lab.job(id)
    assert (record.state, record.reason, record.attempt) == (State.QUEUED, None, 0)
    assert (record.losses, record.reruns, record.token) == (0, 1, 1)
    assert (record.result, record.error, record.finished_at) == (None, None, None)
    (told,) = lab.attempts(id)
    assert (told.token, told.number) == (1, before.attempt or told.number)
    assert lab.counts() == lab.recount() == {("alone", State.QUEUED): 2}
    jobs = lab.claim(lab.worker(), 10, [Lane("alone", 0)])
    assert [(job.id, job.token, job.attempt) for job in jobs] == [(newest, 1, 1), (id, 2, 1)]


def test_a_rerun_that_succeeds_stands_in_the_history_beside_the_first_run(lab: Lab) -> None:
    id = lab.finished(State.SUCCEEDED)
    lab.run(steer.rerun(id))
    (job,) = lab.claim(lab.worker(), 1, [Lane("alone", 0)])
    lab.finish(job)
    told = [(each.token, each.number, each.outcome) for each in lab.attempts(id)]
    assert told == [(1, 1, "succeeded"), (2, 1, "succeeded")]
    assert lab.counts() == {("alone", State.SUCCEEDED): 1}


def test_a_rerun_of_a_job_that_never_ran_has_no_history(lab: Lab) -> None:
    id = lab.new()
    lab.run(steer.cancel(id, Reason.BY_USER))
    lab.run(steer.rerun(id))
    assert lab.attempts(id) == []
    record = lab.job(id)
    assert (record.state, record.cancel_requested_at) == (State.QUEUED, None)


def test_a_rerun_job_has_its_time_to_live_anew(lab: Lab) -> None:
    job = lab.claimed(expires_in_us=10 * SECOND)
    lab.finish(job, State.FAILED)
    lab.clock.advance(MINUTE)
    lab.run(steer.rerun(job.id))
    record = lab.job(job.id)
    assert record.expires_at is not None
    assert record.queued_at is not None
    assert record.expires_at == record.queued_at + 10 * SECOND
    (again,) = lab.claim(lab.worker(), 1, [Lane("alone", 0)])
    assert not again.expired


def test_nobody_knows_a_job_that_is_not_there(lab: Lab) -> None:
    for operation in (steer.cancel(99, Reason.BY_USER), steer.rerun(99)):
        with pytest.raises(JobNotFound, match="99"):
            lab.run(operation)
    assert lab.run(read.job(99)) is None
    assert lab.run(read.state_of(99)) is None


def test_a_cancel_request_is_kept_until_the_attempt_ends(lab: Lab) -> None:
    job = lab.claimed()
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    first = lab.job(job.id).cancel_requested_at
    lab.clock.advance(SECOND)
    assert lab.run(steer.cancel(job.id, Reason.BY_USER)) is State.RUNNING
    assert lab.job(job.id).cancel_requested_at == first
    (end,) = lab.finish(job, State.CANCELLED)
    assert (end.state, end.cancel_requested) == (State.CANCELLED, True)


def test_a_retry_after_a_cancel_request_ends_when_it_falls_due(lab: Lab) -> None:
    job = lab.claimed()
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    (end,) = lab.finish(job, State.RETRYING)
    assert end.cancel_requested
    lab.clock.advance(MINUTE)
    assert lab.run(upkeep.promote(10)).queued == []
    record = lab.job(job.id)
    assert (record.state, record.reason) == (State.CANCELLED, Reason.BY_USER)
    assert lab.counts() == {("alone", State.CANCELLED): 1}


def test_cancels_at_once_cancel_once(lab: Lab) -> None:
    ids = [answer.id for answer in lab.enqueue([new_job()] * 4)]
    lab.run_at_once([steer.cancel(id, Reason.BY_USER) for id in ids])
    assert lab.counts() == lab.recount() == {("default", State.CANCELLED): 4}


def test_queues_are_paused_and_resumed(lab: Lab) -> None:
    lab.new(queue="mail")
    lab.run(steer.pause_queue("mail", "repairs"))
    lab.run(steer.pause_queue("never used", None))
    before = {queue.name: queue for queue in lab.run(read.queues())}
    assert list(before) == ["mail", "never used"]
    assert before["mail"].paused_reason == "repairs"
    assert before["mail"].paused_at is not None
    assert before["never used"].paused_at is not None
    lab.run(steer.resume_queue("mail"))
    lab.run(steer.resume_queue("nobody knows it"))
    (mail, _) = lab.run(read.queues())
    assert (mail.name, mail.paused_at, mail.paused_reason) == ("mail", None, None)


def test_a_given_back_job_can_be_cancelled_and_rerun(lab: Lab) -> None:
    lab.new()
    (job,) = lab.claim(lab.worker())
    lab.run(claim.give_back([held(job)]))
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    lab.run(steer.rerun(job.id))
    (again,) = lab.claim(lab.worker(), 1, [LANE])
    assert (again.token, again.attempt) == (2, 1)
