"""What enqueue stores, in which order, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jobpipe.errors import DuplicateKey, QueueFull
from jobpipe.model.job import Lane, just_stored
from jobpipe.model.state import State
from jobpipe.store.ops import claim, worker
from jobpipe.store.ops.enqueue import enqueue
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import LANE, Lab, new_job


def test_a_plain_job_is_queued_with_all_it_was_given(lab: Lab) -> None:
    before = lab.now()
    answer, second = lab.enqueue(
        [
            new_job(
                task="mail",
                args='{"to":"a"}',
                queue="mail",
                priority=-7,
                max_attempts=3,
                timeout_us=9,
                tags='["x"]',
                meta='{"k":1}',
            ),
            new_job(),
        ]
    )
    assert (answer.state, answer.created) == (State.QUEUED, True)
    assert second.id == answer.id + 1
    job = lab.job(answer.id)
    assert (job.task, job.args, job.queue, job.priority) == ("mail", '{"to":"a"}', "mail", -7)
    assert (job.attempt, job.max_attempts, job.token, job.losses) == (0, 3, 0, 0)
    assert (job.timeout_us, job.tags, job.meta) == (9, '["x"]', '{"k":1}')
    assert (job.run_at, job.due_at, job.expires_at, job.started_at) == (None, None, None, None)
    assert (job.reason, job.result, job.error, job.idempotency_key) == (None, None, None, None)
    assert before <= job.created_at <= lab.now()
    assert job.queued_at == job.created_at


def test_a_delayed_job_is_scheduled_from_the_stores_clock(lab: Lab) -> None:
    job = lab.job(lab.new(delay_us=10 * SECOND))
    assert job.state is State.SCHEDULED
    assert job.run_at == job.due_at == job.created_at + 10 * SECOND
    assert job.queued_at is None


def test_a_time_that_has_passed_means_now(lab: Lab) -> None:
    now = lab.now()
    past, future = lab.enqueue([new_job(run_at=now - 1), new_job(run_at=now + MINUTE)])
    assert (past.state, future.state) == (State.QUEUED, State.SCHEDULED)
    assert lab.job(past.id).run_at == now - 1
    assert lab.job(future.id).due_at == now + MINUTE


def test_an_expiry_before_the_start_is_what_falls_due(lab: Lab) -> None:
    job = lab.job(lab.new(delay_us=MINUTE, expires_in_us=SECOND))
    assert (job.run_at, job.expires_at) == (job.created_at + MINUTE, job.created_at + SECOND)
    assert job.due_at == job.expires_at


def test_lanes_are_noted_once_they_are_used(lab: Lab) -> None:
    lab.enqueue([new_job(queue="b", priority=5), new_job(queue="a"), new_job(queue="a")])
    lab.new(queue="a")
    lab.run(enqueue([new_job(queue="c")], known_lanes=[Lane("c", 0)]))
    assert lab.run(worker.control(lab.worker())).lanes == {Lane("a", 0), Lane("b", 5)}


def test_many_jobs_keep_their_order(lab: Lab) -> None:
    count = 5_001
    answers = lab.enqueue([new_job(args=f'{{"n":{n}}}') for n in range(count)])
    ids = [answer.id for answer in answers]
    assert ids == sorted(set(ids))
    assert len(ids) == count
    jobs = lab.claim(lab.worker(), count)
    assert [job.id for job in jobs] == ids
    assert [job.args for job in jobs] == [f'{{"n":{n}}}' for n in range(count)]


def test_nothing_is_stored_of_a_batch_that_is_refused(lab: Lab) -> None:
    lab.new(idempotency_key="k", task="one")
    before = lab.recount()
    with pytest.raises(DuplicateKey, match="'k'"):
        lab.enqueue([new_job(), new_job(idempotency_key="k", task="other"), new_job()])
    assert lab.recount() == before


@pytest.mark.parametrize("waiting", [{}, {"delay_us": MINUTE}])
def test_a_bounded_queue_refuses_what_would_pass_it(lab: Lab, waiting: dict[str, int]) -> None:
    lab.enqueue([new_job(**waiting)] * 2, max_queued=3)
    with pytest.raises(QueueFull, match="'default' holds 2 waiting jobs; 2 more"):
        lab.enqueue([new_job(), new_job()], max_queued=3)
    lab.enqueue([new_job(queue="other")] * 3, max_queued=3)
    lab.enqueue([new_job()], max_queued=3)
    with pytest.raises(QueueFull):
        lab.enqueue([new_job()], max_queued=3)
    assert lab.recount()["other", State.QUEUED] == 3


def test_a_running_or_ended_job_leaves_room_in_a_bounded_queue(lab: Lab) -> None:
    lab.enqueue([new_job()], max_queued=1)
    (job,) = lab.claim(lab.worker())
    lab.enqueue([new_job()], max_queued=1)
    with pytest.raises(QueueFull):
        lab.enqueue([new_job()], max_queued=1)
    lab.finish(job, State.RETRYING)
    with pytest.raises(QueueFull, match="holds 2"):
        lab.enqueue([new_job()], max_queued=2)


def test_a_repeated_key_finds_the_first_job(lab: Lab) -> None:
    (first,) = lab.enqueue([new_job(idempotency_key="order-7", args='{"n":1}')])
    assert first.created
    (again,) = lab.enqueue([new_job(idempotency_key="order-7", args='{"n":1}', priority=9)])
    assert (again.id, again.created, again.state) == (first.id, False, State.QUEUED)
    assert lab.job(first.id).idempotency_key == "order-7"
    assert lab.recount() == {("default", State.QUEUED): 1}


@pytest.mark.parametrize("changed", [{"args": '{"n":2}'}, {"task": "other"}])
def test_a_key_with_another_payload_is_refused(lab: Lab, changed: dict[str, str]) -> None:
    first = lab.new(idempotency_key="k", args='{"n":1}')
    with pytest.raises(DuplicateKey):
        lab.enqueue([new_job(**{"idempotency_key": "k", "args": '{"n":1}', **changed})])
    assert lab.recount() == {("default", State.QUEUED): 1}
    assert lab.job(first).args == '{"n":1}'


def test_a_key_is_held_while_its_job_lives_whatever_its_state(lab: Lab) -> None:
    id = lab.finished(State.SUCCEEDED, idempotency_key="k")
    (again,) = lab.enqueue([new_job(idempotency_key="k")])
    assert (again.id, again.created, again.state) == (id, False, State.SUCCEEDED)


def test_keys_within_one_batch(lab: Lab) -> None:
    earlier = lab.new(idempotency_key="old")
    answers = lab.enqueue(
        [
            new_job(idempotency_key="a"),
            new_job(),
            new_job(idempotency_key="a"),
            new_job(idempotency_key="old"),
            new_job(idempotency_key="b"),
        ]
    )
    assert [answer.created for answer in answers] == [True, True, False, False, True]
    assert answers[2].id == answers[0].id
    assert answers[3].id == earlier
    fresh = [answers[n].id for n in (0, 1, 4)]
    assert fresh == sorted(set(fresh))
    assert lab.recount() == {("default", State.QUEUED): 4}


def test_a_key_twice_in_a_batch_with_different_payloads_is_refused(lab: Lab) -> None:
    with pytest.raises(DuplicateKey):
        lab.enqueue([new_job(idempotency_key="a"), new_job(idempotency_key="a", args='{"n":1}')])
    assert lab.recount() == {}


def test_one_key_from_many_sides_at_once_makes_one_job(lab: Lab) -> None:
    same = [enqueue([new_job(idempotency_key="k")]) for _ in range(8)]
    answers = [answer for (answer,) in lab.run_at_once(same)]
    assert len({answer.id for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1
    assert lab.recount() == {("default", State.QUEUED): 1}


def test_a_bounded_keyed_batch_counts_only_new_jobs(lab: Lab) -> None:
    lab.new(idempotency_key="k")
    (again,) = lab.enqueue([new_job(idempotency_key="k")], max_queued=1)
    assert not again.created
    with pytest.raises(QueueFull):
        lab.enqueue([new_job(idempotency_key="l")], max_queued=1)
    assert lab.enqueue([new_job(idempotency_key="l")], max_queued=2)[0].created


def test_peek_sees_what_may_run_now(lab: Lab) -> None:
    assert not lab.run(claim.peek([LANE]))
    lab.new(delay_us=MINUTE)
    lab.new(queue="other")
    assert not lab.run(claim.peek([LANE]))
    assert lab.run(claim.peek([LANE, Lane("other", 0)]))


TERMS: tuple[dict[str, Any], ...] = (
    {},
    {"delay_us": MINUTE},
    {"run_at": 1},
    {"run_at": 4_000_000_000_000_000},
    {"expires_in_us": 30 * SECOND},
    {"delay_us": MINUTE, "expires_in_us": 30 * SECOND},
    {"delay_us": SECOND, "expires_in_us": 30 * SECOND, "tags": '["a"]', "meta": '{"k": [1, null]}'},
    {"priority": -7, "queue": "mail", "max_attempts": 9, "timeout_us": 5, "task": "other"},
    {"idempotency_key": "k", "args": '{"to": "\\u00e9"}'},
    {"idempotency_key": "l", "run_at": 4_000_000_000_000_000, "expires_in_us": SECOND},
)


def test_a_created_job_is_known_without_reading_it(lab: Lab) -> None:
    jobs = [new_job(**terms) for terms in TERMS]
    together = [new_job(**{**terms, "idempotency_key": None}) for terms in TERMS]
    alike = [new_job(args=args, delay_us=SECOND) for args in ('{"n":1}', '{"n":2}')]
    answers = [lab.enqueue([job])[0] for job in jobs] + lab.enqueue(together) + lab.enqueue(alike)
    for job, answer in zip(jobs + together + alike, answers, strict=True):
        assert just_stored(job, answer) == lab.job(answer.id)


def test_a_repeated_key_tells_when_its_job_was_stored(lab: Lab) -> None:
    (first,) = lab.enqueue([new_job(idempotency_key="k")])
    lab.clock.advance(10)
    twice = lab.enqueue([new_job(idempotency_key="k")] * 2)
    assert twice == [replace(first, created=False)] * 2
    assert first.created_at == lab.job(first.id).created_at
