"""Who gets which job, in which order, and what it carries."""

from __future__ import annotations

import pytest

from jobpipe.model.job import Lane
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import claim, steer
from tests.conformance.clock import SECOND
from tests.conformance.lab import LANE, Lab, held, new_job

HIGH, LOW, OTHER = Lane("default", 50), Lane("default", -5), Lane("other", 0)


def test_a_claimed_job_carries_what_it_takes_to_run_it(lab: Lab) -> None:
    id = lab.new(args='{"n":1}', meta='{"k":2}', max_attempts=4, timeout_us=8)
    worker = lab.worker()
    (job,) = lab.claim(worker)
    assert (job.id, job.token, job.attempt, job.task, job.queue) == (id, 1, 1, "t", "default")
    assert (job.priority, job.args, job.meta) == (0, '{"n":1}', '{"k":2}')
    assert (job.max_attempts, job.timeout_us, job.expired) == (4, 8, False)
    record = lab.job(id)
    assert (record.state, record.token, record.attempt) == (State.RUNNING, 1, 1)
    assert (record.worker, record.worker_pid) == ("w", 7)
    assert record.started_at is not None
    assert lab.run(claim.held(worker)) == [held(job)]


def test_jobs_come_by_lane_as_asked_then_by_rank(lab: Lab) -> None:
    low, other, high, plain, high2 = (
        answer.id
        for answer in lab.enqueue(
            [
                new_job(priority=-5),
                new_job(queue="other"),
                new_job(priority=50),
                new_job(),
                new_job(priority=50),
            ]
        )
    )
    jobs = lab.claim(lab.worker(), 10, [HIGH, LANE, OTHER, LOW])
    assert [job.id for job in jobs] == [high, high2, plain, other, low]


def test_a_claim_takes_no_more_than_asked_and_the_first_lanes_first(lab: Lab) -> None:
    lab.enqueue([new_job(), new_job(), new_job(queue="other"), new_job(queue="other")])
    worker = lab.worker()
    assert [job.queue for job in lab.claim(worker, 3, [OTHER, LANE])] == [
        "other",
        "other",
        "default",
    ]
    assert lab.recount() == {
        ("default", State.QUEUED): 1,
        ("default", State.RUNNING): 1,
        ("other", State.RUNNING): 2,
    }


def test_an_answer_is_bounded_by_its_payloads_and_says_that_more_is_left(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "PAYLOAD_MAX", 100)
    args = '{"text":"' + "x" * 89 + '"}'
    assert len(args) == 100
    ids = [answer.id for answer in lab.enqueue([new_job(args=args)] * 3)]
    worker, taken = lab.worker(), []
    for _ in range(5):
        jobs = lab.claim(worker, 10, [LANE])
        taken += [job.id for job in jobs]
        if claim.is_last_word(jobs, 10):
            break
    assert jobs == []
    assert taken == ids
    if lab.place.is_file:
        assert [held.claim_id for held in lab.run(claim.held(worker))] == [1, 2, 3]


def test_nothing_to_claim_leaves_no_record(lab: Lab) -> None:
    lab.new(queue="other")
    worker = lab.worker()
    assert lab.claim(worker, 10, [LANE, HIGH]) == []
    assert lab.run(claim.held(worker)) == []
    assert lab.place.sql("SELECT id FROM {p}claim") == []


def test_workers_at_once_never_share_a_job(lab: Lab) -> None:
    ids = [answer.id for answer in lab.enqueue([new_job()] * 200)]
    workers = [lab.worker(f"w{n}") for n in range(4)]
    taken: list[int] = []
    while len(taken) < 200:
        asks = [claim.claim(worker, [LANE], 30, after={}, done=()) for worker in workers]
        taken += [job.id for jobs in lab.run_at_once(asks) for job in jobs]
    assert sorted(taken) == ids
    assert lab.counts() == {("default", State.RUNNING): 200}


def test_a_frontier_skips_what_is_at_or_below_it(lab: Lab) -> None:
    lab.enqueue([new_job()] * 3)
    worker = lab.worker()
    (first,) = lab.claim(worker, 1)
    beyond = {LANE: first.rank + 1}
    expected = 1 if lab.capabilities.frontier else 2
    assert len(lab.claim(worker, 10, after=beyond)) == expected
    assert len(lab.claim(worker, 10)) == 2 - expected


def test_an_expired_job_is_claimed_as_such(lab: Lab) -> None:
    lab.new(expires_in_us=SECOND)
    lab.clock.advance(2 * SECOND)
    (job,) = lab.claim(lab.worker())
    assert job.expired


def test_records_of_ended_claims_are_deleted_with_a_later_claim(lab: Lab) -> None:
    lab.new()
    worker = lab.worker()
    (first,) = lab.claim(worker)
    lab.finish(first)
    lab.new()
    (second,) = lab.claim(worker, done=[first.claim_id])
    rows = lab.place.sql("SELECT id FROM {p}claim")
    assert [row["id"] for row in rows] == [second.claim_id]


def test_given_back_jobs_return_uncharged_to_their_old_rank(lab: Lab) -> None:
    first, second, third = (answer.id for answer in lab.enqueue([new_job()] * 3))
    worker = lab.worker()
    jobs = lab.claim(worker, 2)
    back = lab.run(claim.give_back([held(job) for job in reversed(jobs)]))
    assert sorted((job.id, job.lane, job.rank) for job in back) == [
        (job.id, LANE, job.rank) for job in jobs
    ]
    record = lab.job(first)
    assert (record.state, record.attempt, record.token) == (State.QUEUED, 0, 1)
    assert (record.worker, record.started_at) == (None, None)
    assert lab.run(claim.held(worker)) == []
    again = lab.claim(lab.worker("w2"), 10)
    assert [job.id for job in again] == [first, second, third]
    assert [(job.token, job.attempt) for job in again] == [(2, 1), (2, 1), (1, 1)]
    assert lab.attempts(first) == []


def test_giving_back_what_is_no_longer_held_changes_nothing(lab: Lab) -> None:
    job = lab.claimed()
    lab.finish(job)
    assert lab.run(claim.give_back([held(job)])) == []
    again = lab.claimed(queue="q2")
    stale = claim.Held(again.id, again.token - 1, again.rank)
    assert lab.run(claim.give_back([stale])) == []
    assert lab.job(job.id).state is State.SUCCEEDED
    assert lab.job(again.id).state is State.RUNNING


def test_a_job_to_be_cancelled_is_cancelled_when_it_is_given_back(lab: Lab) -> None:
    job = lab.claimed()
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    assert lab.run(claim.give_back([held(job)])) == []
    record = lab.job(job.id)
    assert (record.state, record.reason, record.attempt) == (State.CANCELLED, Reason.BY_USER, 0)
    assert record.finished_at is not None
    assert lab.counts() == {("alone", State.CANCELLED): 1}
    assert lab.place.sql("SELECT job_id FROM {p}cancel_request") == []


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.RETRYING, State.PARKED])
def test_what_has_ended_is_not_held(lab: Lab, state: State) -> None:
    lab.new()
    worker = lab.worker()
    (job,) = lab.claim(worker)
    lab.finish(job, state)
    assert lab.run(claim.held(worker)) == []
