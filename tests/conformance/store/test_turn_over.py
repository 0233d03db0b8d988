"""Outcomes, a round and a claim in one transaction."""

from __future__ import annotations

import time

from jobpipe.model.job import Claimed
from jobpipe.model.state import State
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.claim import claim
from jobpipe.store.ops.turn_over import TurnedOver, turn_over
from jobpipe.store.port import Operation
from tests.conformance.lab import LANE, Lab, ending
from tests.conformance.store.gates import claimed, let_in, slots, stored, wishing


def turned_over(
    lab: Lab, jobs: list[Claimed], claiming: Operation[list[Claimed]] | None = None
) -> TurnedOver:
    outcomes = [ending(job, State.SUCCEEDED) for job in jobs]
    return lab.run(turn_over(outcomes, time.monotonic_ns(), 0, 1_000, claiming))


def claim_of(lab: Lab, limit: int = 10) -> Operation[list[Claimed]]:
    return claim(lab.worker("taker"), [LANE], limit, after={}, done=[])


def test_who_waited_for_the_outcome_is_let_in_and_claimed(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 3)
    let_in(lab)
    over = turned_over(lab, claimed(lab), claim_of(lab))
    assert [end.id for end in over.finished] == ids[:1]
    assert over.round is not None
    assert [job.id for job in over.round.queued] == ids[1:2]
    assert over.claimed is not None
    assert [job.id for job in over.claimed] == ids[1:2]
    assert [lab.job(id).state for id in ids] == [State.SUCCEEDED, State.RUNNING, State.BLOCKED]
    over = turned_over(lab, over.claimed, claim_of(lab))
    assert [job.id for job in over.claimed or ()] == ids[2:]


def test_it_claims_what_else_is_queued_up_to_what_is_asked_for(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 2)
    let_in(lab)
    jobs = claimed(lab)
    plain = [lab.new(), lab.new()]
    over = turned_over(lab, jobs, claim_of(lab, 2))
    assert [job.id for job in over.claimed or ()] == plain
    assert lab.job(ids[1]).state is State.QUEUED


def test_without_a_claim_nothing_is_claimed(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 2)
    let_in(lab)
    over = turned_over(lab, claimed(lab))
    assert over.round is not None
    assert ([job.id for job in over.round.queued], over.claimed) == (ids[1:], None)


def test_outcomes_that_nobody_minds_make_no_round(lab: Lab) -> None:
    job = lab.claimed()
    waiting = lab.new()
    over = turned_over(lab, [job], claim_of(lab))
    assert [end.id for end in over.finished] == [job.id]
    assert (over.round, over.claimed) == (None, None)
    assert lab.job(waiting).state is State.QUEUED


def test_an_outcome_of_an_attempt_that_is_over_lets_nobody_in(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 2)
    let_in(lab)
    (job,) = claimed(lab)
    lab.finish(job)
    over = turned_over(lab, [job], claim_of(lab))
    assert over == TurnedOver([])
    assert let_in(lab) == ids[1:]


def test_a_round_without_outcomes_claims_whom_it_lets_in(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 2)
    round_ = lab.run(admit(claim=claim_of(lab)))
    assert round_ is not None
    assert [job.id for job in round_.queued] == ids[:1]
    assert [job.id for job in round_.claimed or ()] == ids[:1]
    assert [lab.job(id).state for id in ids] == [State.RUNNING, State.BLOCKED]


def test_a_round_that_lets_nobody_in_claims_nothing(lab: Lab) -> None:
    stored(lab, [wishing(slots(1))] * 2)
    let_in(lab)
    plain = lab.new()
    round_ = lab.run(admit(claim=claim_of(lab)))
    assert round_ is not None
    assert round_.claimed is None
    assert lab.job(plain).state is State.QUEUED
