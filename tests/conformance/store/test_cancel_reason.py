"""The reason of a cancel: whatever way a job takes to its end, that is what it was cancelled by."""

from __future__ import annotations

from jobpipe.model.job import Claimed, Lane
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import claim, steer, upkeep, worker
from jobpipe.store.port import Mode, Op, Statement, operation
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import Lab, held


def asked(lab: Lab, reason: Reason = Reason.BY_DEPLOY, **fields: object) -> Claimed:
    """Return a running job that was asked to stop."""
    job = lab.claimed(**fields)
    assert lab.run(steer.cancel(job.id, reason)) is State.RUNNING
    return job


def ended_by(lab: Lab, id: int) -> Reason | None:
    record = lab.job(id)
    assert record.state is State.CANCELLED
    return record.reason


def test_of_a_waiting_job(lab: Lab) -> None:
    id = lab.new(delay_us=MINUTE)
    lab.run(steer.cancel(id, Reason.BY_DEPLOY))
    assert ended_by(lab, id) is Reason.BY_DEPLOY


def test_of_an_attempt_that_ends_cancelled(lab: Lab) -> None:
    job, other = asked(lab), lab.claimed(queue="other")
    for each in (job, other):
        lab.finish(each, State.CANCELLED)
    assert ended_by(lab, job.id) is Reason.BY_DEPLOY
    assert [attempt.reason for attempt in lab.attempts(job.id)] == [Reason.BY_DEPLOY]
    assert ended_by(lab, other.id) is Reason.BY_USER


def test_of_an_attempt_that_ends_otherwise(lab: Lab) -> None:
    done, failed = asked(lab), asked(lab, queue="other")
    lab.finish(done)
    lab.finish(failed, State.FAILED)
    assert (lab.job(done.id).state, lab.job(done.id).reason) == (State.SUCCEEDED, None)
    assert lab.job(failed.id).reason is Reason.ATTEMPTS_EXHAUSTED


def test_of_a_job_that_is_given_back(lab: Lab) -> None:
    job = asked(lab)
    lab.run(claim.give_back([held(job)]))
    assert ended_by(lab, job.id) is Reason.BY_DEPLOY


def test_of_a_job_whose_worker_is_lost(lab: Lab) -> None:
    job = asked(lab)
    lab.run(worker.sweep([each.id for each in lab.run(worker.workers())]))
    assert ended_by(lab, job.id) is Reason.BY_DEPLOY


def test_of_a_job_that_waits_for_another_attempt(lab: Lab) -> None:
    due, at_once = asked(lab), asked(lab, queue="other")
    for job in (due, at_once):
        lab.finish(job, State.RETRYING, delay_us=SECOND)
    lab.run(steer.cancel(at_once.id, Reason.BY_USER))  # as the worker does that hears of it
    assert ended_by(lab, at_once.id) is Reason.BY_DEPLOY
    lab.clock.advance(2 * SECOND)
    lab.run(upkeep.promote(10))
    assert ended_by(lab, due.id) is Reason.BY_DEPLOY


def test_of_a_job_that_was_parked(lab: Lab) -> None:
    job = asked(lab)
    lab.finish(job, State.PARKED)
    lab.run(upkeep.unpark([job.id]))
    assert ended_by(lab, job.id) is Reason.BY_DEPLOY


def test_the_first_one_who_asked_counts(lab: Lab) -> None:
    job, other = asked(lab), asked(lab, Reason.BY_USER, queue="other")
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    lab.run(steer.cancel(other.id, Reason.BY_DEPLOY))
    for each in (job, other):
        lab.finish(each, State.CANCELLED)
    assert ended_by(lab, job.id) is Reason.BY_DEPLOY
    assert ended_by(lab, other.id) is Reason.BY_USER


def test_a_re_run_forgets_it(lab: Lab) -> None:
    job = asked(lab)
    lab.finish(job, State.CANCELLED)
    lab.run(steer.rerun(job.id))
    (again,) = lab.claim(lab.worker(), 1, [Lane("alone", 0)])
    lab.finish(again, State.CANCELLED)
    assert ended_by(lab, job.id) is Reason.BY_USER


def test_of_a_running_job_whose_flow_is_cancelled(lab: Lab) -> None:
    job, other = lab.claimed(), asked(lab, queue="other")

    @operation(Mode.TRANSACTION)
    def cancelled() -> Op[None]:
        yield Statement("request_cancels", {"ids": [job.id, other.id]})

    lab.run(cancelled())
    for each in (job, other):
        lab.finish(each, State.CANCELLED)
    assert ended_by(lab, job.id) is Reason.BY_FLOW
    assert ended_by(lab, other.id) is Reason.BY_DEPLOY
