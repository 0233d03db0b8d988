"""How attempts end: what is written for each outcome, and what a stale write may not do."""

from __future__ import annotations

import time

import pytest

from jobpipe.model.job import Finish, Lane
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.store.ops import claim, finish, steer, upkeep
from jobpipe.store.ops.finish import Finished
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import ERROR, LANE, Lab, ending, held, new_job

STATES = [
    State.SUCCEEDED,
    State.FAILED,
    State.CANCELLED,
    State.RETRYING,
    State.SCHEDULED,
    State.PARKED,
]


def test_a_success_keeps_its_result_and_times(lab: Lab) -> None:
    job = lab.claimed()
    ended = time.monotonic_ns()
    taken = lab.run(
        finish.finish(
            [
                ending(
                    job,
                    State.SUCCEEDED,
                    result='{"sum":3}',
                    duration_us=5 * SECOND,
                    ended_at_ns=ended,
                )
            ],
            ended + 2 * SECOND * 1_000,
        )
    )
    assert taken == [Finished(job.id, State.SUCCEEDED, False)]
    record = lab.job(job.id)
    assert (record.state, record.result, record.error) == (State.SUCCEEDED, '{"sum":3}', None)
    assert (record.reason, record.attempt, record.worker) == (None, 1, "w")
    assert record.finished_at is not None
    assert record.started_at == record.finished_at - 5 * SECOND
    assert 0 <= lab.now() - record.finished_at - 2 * SECOND < MINUTE
    assert lab.attempts(job.id) == []


@pytest.mark.parametrize("state", STATES)
def test_every_outcome_leaves_the_job_in_its_state(lab: Lab, state: State) -> None:
    job = lab.claimed()
    wanted = ending(job, state)
    assert lab.finish(job, state) == [Finished(job.id, state, False)]
    record = lab.job(job.id)
    assert (record.state, record.reason) == (state, wanted.reason)
    assert (record.result, record.error) == (wanted.result, wanted.error)
    assert record.attempt == (1 if wanted.charged else 0)
    assert (record.finished_at is not None) == (state in FINAL)
    waits = state in (State.RETRYING, State.SCHEDULED)
    assert (record.due_at is not None) == waits
    assert lab.counts() == lab.recount() == {("alone", state): 1}


@pytest.mark.parametrize("state", STATES[1:])
def test_every_other_outcome_stands_in_the_history(lab: Lab, state: State) -> None:
    job = lab.claimed()
    wanted = ending(job, state, duration_us=SECOND)
    lab.run(finish.finish([wanted], wanted.ended_at_ns))
    (told,) = lab.attempts(job.id)
    assert (told.job_id, told.token, told.number) == (job.id, 1, 1)
    assert (told.outcome, told.reason, told.error) == (wanted.outcome, wanted.reason, wanted.error)
    assert (told.worker, told.host, told.pid) == ("w", "here", 7)
    assert told.started_at is not None
    assert told.finished_at == told.started_at + SECOND


def test_a_late_success_stands_in_the_history_too(lab: Lab) -> None:
    lab.new()
    worker = lab.worker()
    (first,) = lab.claim(worker)
    lab.finish(first, State.RETRYING)
    lab.clock.advance(MINUTE)
    lab.run(upkeep.promote(10))
    (second,) = lab.claim(worker)
    assert (second.token, second.attempt) == (2, 2)
    lab.finish(second)
    told = [(each.token, each.number, each.outcome) for each in lab.attempts(first.id)]
    assert told == [(1, 1, "failed"), (2, 2, "succeeded")]


def test_a_retry_waits_its_delay_but_not_beyond_the_expiry(lab: Lab) -> None:
    job = lab.claimed()
    before = lab.now()
    lab.finish(job, State.RETRYING, delay_us=MINUTE)
    due = lab.job(job.id).due_at
    assert due is not None
    assert before + MINUTE <= due <= lab.now() + MINUTE
    expiring = lab.claimed(queue="q2", expires_in_us=SECOND)
    lab.finish(expiring, State.RETRYING, delay_us=MINUTE)
    record = lab.job(expiring.id)
    assert record.due_at == record.expires_at


@pytest.mark.parametrize("first", STATES)
def test_a_job_is_finished_once(lab: Lab, first: State) -> None:
    job = lab.claimed()
    lab.finish(job, first)
    before, told, counts = lab.job(job.id), lab.attempts(job.id), lab.counts()
    for late in STATES:
        assert lab.finish(job, late, error=ERROR, result='"late"') == []
    assert (lab.job(job.id), lab.attempts(job.id), lab.counts()) == (before, told, counts)


@pytest.mark.parametrize("state", STATES)
def test_an_old_token_changes_nothing(lab: Lab, state: State) -> None:
    lab.new()
    (old,) = lab.claim(lab.worker())
    lab.run(claim.give_back([held(old)]))
    queued = lab.job(old.id)
    assert lab.finish(old, state) == []
    assert lab.job(old.id) == queued
    (new,) = lab.claim(lab.worker("w2"))
    running = lab.job(old.id)
    assert lab.finish(old, state) == []
    assert lab.job(old.id) == running
    assert lab.attempts(old.id) == []
    assert lab.counts() == {("default", State.RUNNING): 1}
    assert lab.finish(new) == [Finished(new.id, State.SUCCEEDED, False)]


def test_a_token_that_was_never_given_changes_nothing(lab: Lab) -> None:
    job = lab.claimed()
    guess = Finish(id=job.id, token=2, state=State.SUCCEEDED, outcome="succeeded")
    nobody = Finish(id=job.id + 1_000, token=1, state=State.SUCCEEDED, outcome="succeeded")
    assert lab.run(finish.finish([guess, nobody], 0)) == []
    assert lab.counts() == {("alone", State.RUNNING): 1}


def test_one_batch_writes_the_current_and_leaves_out_the_stale(lab: Lab) -> None:
    lab.enqueue([new_job()] * 5)
    jobs = lab.claim(lab.worker())
    lab.run(claim.give_back([held(jobs[1])]))
    lab.run(steer.cancel(jobs[3].id, Reason.BY_USER))
    outcomes = [
        ending(jobs[4], State.FAILED),
        ending(jobs[3], State.SUCCEEDED),
        ending(jobs[2], State.RETRYING),
        ending(jobs[1], State.SUCCEEDED),
        ending(jobs[0], State.SUCCEEDED),
    ]
    taken = lab.run(finish.finish(outcomes, time.monotonic_ns()))
    assert sorted(taken, key=lambda end: end.id) == [
        Finished(jobs[0].id, State.SUCCEEDED, False),
        Finished(jobs[2].id, State.RETRYING, False),
        Finished(jobs[3].id, State.SUCCEEDED, True),
        Finished(jobs[4].id, State.FAILED, False),
    ]
    expected = {State.SUCCEEDED: 2, State.RETRYING: 1, State.QUEUED: 1, State.FAILED: 1}
    assert lab.counts() == {("default", state): n for state, n in expected.items()}
    assert lab.place.sql("SELECT job_id FROM {p}cancel_request") == []


def test_after_a_cut_it_is_known_which_outcomes_stand(lab: Lab) -> None:
    lab.enqueue([new_job()] * 3)
    jobs = lab.claim(lab.worker())
    outcomes = [ending(job, State.SUCCEEDED) for job in jobs]
    lab.run(finish.finish(outcomes[:1], 0))
    lab.run(claim.give_back([held(jobs[1])]))
    assert lab.run(finish.already_written(outcomes)) == {jobs[0].id}


@pytest.mark.parametrize("broken", ["result", "error"])
def test_a_text_that_no_store_can_hold_spares_its_neighbours(lab: Lab, broken: str) -> None:
    """A batch is refused as a whole, so that it can be halved until the culprit stands alone."""
    lab.enqueue([new_job()] * 2)
    jobs = lab.claim(lab.worker())
    bad = ending(jobs[0], State.FAILED, **{broken: "\ud800"})
    with pytest.raises(Exception, match=r"surrogate|utf-?8|UTF"):
        lab.run(finish.finish([bad, ending(jobs[1], State.SUCCEEDED)], 0))
    assert lab.counts() == {("default", State.RUNNING): 2}
    assert lab.attempts(jobs[0].id) == []


def test_finishing_frees_no_other_lane(lab: Lab) -> None:
    lab.enqueue([new_job(), new_job(queue="other")])
    worker = lab.worker()
    first, second = lab.claim(worker, 10, [LANE, Lane("other", 0)])
    lab.finish(first)
    assert lab.run(claim.held(worker)) == [held(second)]
