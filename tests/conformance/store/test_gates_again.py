"""What has started and comes back without an outcome passes its gates anew."""

from __future__ import annotations

import pytest

from jobpipe.model.gate import GateKind
from jobpipe.model.job import Lane
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import aside, claim, queue, steer, worker
from jobpipe.store.ops.aside import Known
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import Lab, held
from tests.conformance.store.gates import (
    blocked_on,
    claimed,
    let_in,
    rate,
    slots,
    stored,
    wishing,
)


def die(lab: Lab, limit: int = 10) -> None:
    """A worker claims jobs, and its lease ends."""
    lab.claim(lab.worker(lease_us=SECOND), limit)
    lab.clock.advance(2 * SECOND)
    lab.run(worker.sweep([]))


def test_a_crash_does_not_exceed_a_rate(lab: Lab) -> None:
    ids = stored(lab, [wishing(rate(6, MINUTE, burst=3))] * 4)
    assert let_in(lab) == ids[:3]
    die(lab)
    assert [lab.job(id).state for id in ids[:3]] == [State.BLOCKED] * 3
    assert let_in(lab) == []
    assert [(lab.job(id).attempt, lab.job(id).losses) for id in ids[:3]] == [(0, 1)] * 3
    assert blocked_on(lab, ids[0]) == "rate:k"
    lab.clock.advance(10 * SECOND)
    assert let_in(lab) == ids[:1]
    lab.clock.advance(30 * SECOND)
    assert let_in(lab) == ids[1:3]


def test_who_was_taken_back_is_the_first_of_his_line(lab: Lab) -> None:
    ids = stored(lab, [wishing(rate(1, MINUTE))] * 3)
    let_in(lab)
    die(lab)
    assert let_in(lab) == []
    lab.clock.advance(MINUTE)
    assert let_in(lab) == ids[:1]
    assert claimed(lab)[0].token == 2


def test_at_its_limit_of_losses_a_job_makes_room_for_the_next(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1), max_losses=1)] * 2)
    let_in(lab)
    die(lab)
    assert (lab.job(ids[0]).state, lab.job(ids[0]).reason) == (State.FAILED, Reason.LOST)
    assert let_in(lab) == ids[1:]
    assert lab.counts() == lab.recount()


def test_who_was_to_be_cancelled_ends_instead(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 2)
    let_in(lab)
    mine = lab.worker(lease_us=SECOND)
    lab.claim(mine)
    lab.run(steer.cancel(ids[0], Reason.BY_USER))
    lab.clock.advance(2 * SECOND)
    lab.run(worker.sweep([]))
    assert lab.job(ids[0]).state is State.CANCELLED
    assert let_in(lab) == ids[1:]
    assert lab.counts() == lab.recount()


@pytest.mark.parametrize("suspect", [False, True])
def test_what_has_started_and_is_given_back_takes_a_new_token(lab: Lab, suspect: bool) -> None:
    ids = stored(lab, [wishing(rate(1, MINUTE))] * 2)
    let_in(lab)
    (job,) = claimed(lab)
    assert lab.run(claim.give_back([held(job)], started=True, suspect=suspect)) == []
    record = lab.job(job.id)
    assert (record.state, record.attempt, record.losses) == (State.BLOCKED, 0, 0)
    assert let_in(lab) == []
    lab.clock.advance(MINUTE)
    assert let_in(lab) == ids[:1]
    assert claimed(lab)[0].suspect is suspect
    assert lab.counts() == lab.recount()


def test_what_has_started_and_was_to_be_cancelled_is_not_given_back(lab: Lab) -> None:
    (id,) = stored(lab, [wishing(slots(1))])
    let_in(lab)
    (job,) = claimed(lab)
    lab.run(steer.cancel(id, Reason.BY_USER))
    assert lab.run(claim.give_back([held(job)], started=True)) == []
    assert lab.job(id).state is State.CANCELLED
    assert lab.counts() == lab.recount()


def test_a_job_without_gates_keeps_its_rank_though_it_has_started(lab: Lab) -> None:
    job = lab.claimed()
    (back,) = lab.run(claim.give_back([held(job)], started=True))
    assert (back.id, back.rank) == (job.id, job.rank)


def test_what_never_started_keeps_its_token_and_its_place_among_those_let_in(lab: Lab) -> None:
    ids = stored(lab, [wishing(rate(1, MINUTE))] * 2)
    let_in(lab)
    (job,) = claimed(lab)
    (back,) = lab.run(claim.give_back([held(job)]))
    assert (back.id, back.rank) == (job.id, job.rank)
    lab.clock.advance(10 * MINUTE)
    assert let_in(lab) == []  # or both might start at once
    assert [job.id for job in claimed(lab)] == ids[:1]
    assert let_in(lab) == []
    lab.clock.advance(MINUTE)
    assert let_in(lab) == ids[1:]


def test_what_never_started_takes_a_new_token_once_a_round_has_counted_it(lab: Lab) -> None:
    """Who was let in meanwhile has one, too: both might start at once."""
    ids = stored(lab, [wishing(rate(1, MINUTE))] * 3)
    let_in(lab)
    (job,) = claimed(lab)
    assert let_in(lab) == []
    lab.clock.advance(MINUTE)
    assert let_in(lab) == ids[1:2]
    assert lab.run(claim.give_back([held(job)])) == []
    assert lab.job(job.id).state is State.BLOCKED
    assert let_in(lab) == []
    assert [job.id for job in claimed(lab)] == ids[1:2]
    assert let_in(lab) == []
    lab.clock.advance(MINUTE)
    assert let_in(lab) == ids[:1]


def test_what_waits_for_the_limits_of_its_queue_takes_no_token_before(lab: Lab) -> None:
    """It was queued before anybody knew of them, and comes to its gates again."""
    ids = stored(lab, [wishing(rate(1, MINUTE), queue="a")] * 2)
    lab.run(queue.limit_queue("a", {"concurrency": 5}, {GateKind.CONCURRENCY: '{"n":5}'}))
    assert let_in(lab) == ids[:1]
    jobs = lab.claim(lab.worker(), 10, [Lane("a", 0)])
    (change,) = lab.run(aside.set_aside(jobs, Known(limited=frozenset({"a"}))))
    assert change.id == ids[0]
    assert len(let_in(lab)) == 1


def test_who_never_started_and_is_cancelled_leaves_the_token(lab: Lab) -> None:
    ids = stored(lab, [wishing(rate(1, MINUTE))] * 2)
    let_in(lab)
    (job,) = claimed(lab)
    lab.run(claim.give_back([held(job)]))
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    assert let_in(lab) == ids[1:]
