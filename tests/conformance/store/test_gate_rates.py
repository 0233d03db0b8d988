"""Rates: so many starts in a span of time, by the store's clock.

The rates here are so slow that the time a test takes counts for nothing.
"""

from __future__ import annotations

import pytest

from jobpipe.model.gate import GateKind, GateName
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import gate_settings, steer, upkeep
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import Lab
from tests.conformance.store.gates import (
    blocked_on,
    claimed,
    let_in,
    opens_in,
    rate,
    slots,
    stored,
    wishing,
)


def finish_all(lab: Lab) -> int:
    jobs = claimed(lab, 1_000)
    for job in jobs:
        lab.finish(job)
    return len(jobs)


def test_a_burst_passes_at_once_and_then_one_for_each_token(lab: Lab) -> None:
    ids = stored(lab, [wishing(rate(6, MINUTE, burst=3))] * 6)
    assert let_in(lab) == ids[:3]
    assert finish_all(lab) == 3
    assert blocked_on(lab, ids[3]) == "rate:k"
    assert 0 < (opens_in(lab) or 0) <= 10 * SECOND
    lab.clock.advance(10 * SECOND)
    assert let_in(lab) == ids[3:4]
    finish_all(lab)
    lab.clock.advance(20 * SECOND)
    assert let_in(lab) == ids[4:]


def test_whoever_holds_the_last_token_is_looked_at_when_the_next_one_may_come(lab: Lab) -> None:
    """It runs for longer than that: no outcome tells that its token is taken."""
    ids = stored(lab, [wishing(rate(60, MINUTE, burst=2))] * 5)
    assert let_in(lab) == ids[:2]
    assert opens_in(lab) == pytest.approx(SECOND, abs=SECOND / 2)
    assert len(claimed(lab)) == 2
    lab.clock.advance(2 * SECOND)
    assert let_in(lab) == ids[2:4]


def test_a_gate_is_not_looked_at_before_its_token_comes(lab: Lab) -> None:
    """When it was let in one could not know when it starts."""
    stored(lab, [wishing(rate(6, MINUTE))] * 2)
    assert len(let_in(lab)) == 1
    lab.clock.advance(4 * SECOND)
    assert finish_all(lab) == 1
    assert 9 * SECOND < (opens_in(lab) or 0) <= 10 * SECOND


def test_a_queue_without_workers_cannot_hold_a_rate_though_others_keep_coming(lab: Lab) -> None:
    slow = stored(lab, [wishing(rate(300, MINUTE, burst=2), queue="slow")] * 2)
    assert let_in(lab) == slow
    came: list[int] = []
    for _ in range(5):  # ten seconds after the first one came, it is looked at who has not started
        lab.clock.advance(3 * SECOND)
        came += stored(lab, [wishing(rate(300, MINUTE, burst=2))])
        if found := let_in(lab):
            break
    assert found == came[:2]


def test_so_it_is_while_another_has_not_started(lab: Lab) -> None:
    stored(lab, [wishing(rate(10, MINUTE, burst=2))] * 3)
    assert len(let_in(lab)) == 2
    assert 5 * SECOND < (opens_in(lab) or 0) <= 6 * SECOND
    lab.clock.advance(4 * SECOND)
    lab.finish(claimed(lab, 1)[0])
    assert 5 * SECOND < (opens_in(lab) or 0) <= 6 * SECOND


def test_what_has_not_started_bounds_what_is_let_in(lab: Lab) -> None:
    """After an outage of the workers no more start at once than the burst."""
    stored(lab, [wishing(rate(6, MINUTE, burst=2))] * 9)
    assert len(let_in(lab)) == 2
    lab.clock.advance(10 * MINUTE)
    assert let_in(lab) == []
    assert len(claimed(lab)) == 2
    assert let_in(lab) == []
    lab.clock.advance(9 * SECOND)
    assert let_in(lab) == []
    lab.clock.advance(SECOND)
    assert len(let_in(lab)) == 1


@pytest.mark.parametrize("by", ["a newer job", "an order"])
def test_a_higher_rate_opens_what_a_lower_one_had_shut(lab: Lab, by: str) -> None:
    stored(lab, [wishing(rate(1, 60 * MINUTE))] * 3)
    assert len(let_in(lab)) == 1
    finish_all(lab)
    assert let_in(lab) == []
    if by == "an order":
        name = GateName(GateKind.RATE, "k")
        lab.run(gate_settings.limit_gate(name, '{"n":10,"per_us":1000000,"burst":10}'))
    else:
        stored(lab, [wishing(rate(10, SECOND, burst=10))])
    let_in(lab)
    lab.clock.advance(SECOND)
    let_in(lab)
    assert len(claimed(lab)) == (2 if by == "an order" else 3)


def test_a_pause_piles_nothing_up(lab: Lab) -> None:
    stored(lab, [wishing(rate(6, MINUTE, burst=2))] * 9)
    let_in(lab)
    finish_all(lab)
    lab.clock.advance(60 * MINUTE)
    assert len(let_in(lab)) == 2


def test_a_cancelled_job_that_never_started_gives_its_token_back(lab: Lab) -> None:
    ids = stored(lab, [wishing(rate(1, MINUTE))] * 2)
    assert let_in(lab) == ids[:1]
    lab.run(steer.cancel(ids[0], Reason.BY_USER))
    assert let_in(lab) == ids[1:]


def test_one_that_has_started_does_not(lab: Lab) -> None:
    ids = stored(lab, [wishing(rate(1, MINUTE))] * 2)
    let_in(lab)
    finish_all(lab)
    assert let_in(lab) == []
    lab.clock.advance(MINUTE)
    assert let_in(lab) == ids[1:]


def test_a_retry_takes_a_token_of_its_own(lab: Lab) -> None:
    (id,) = stored(lab, [wishing(rate(1, MINUTE))])
    let_in(lab)
    lab.finish(claimed(lab)[0], State.RETRYING, delay_us=0)
    lab.run(upkeep.promote(10))
    assert let_in(lab) == []
    lab.clock.advance(MINUTE)
    assert let_in(lab) == [id]


def test_no_token_is_taken_for_who_waits_at_another_gate(lab: Lab) -> None:
    (holder,) = stored(lab, [wishing(slots(1, "s"))])
    let_in(lab)
    both, alone = stored(lab, [wishing(rate(1, MINUTE), slots(1, "s")), wishing(rate(1, MINUTE))])
    assert let_in(lab) == [alone]
    assert blocked_on(lab, both) == "concurrency:s"
    assert lab.job(holder).state is State.QUEUED


def test_the_urgent_have_the_next_token(lab: Lab) -> None:
    stored(lab, [wishing(rate(1, MINUTE))] * 2)
    let_in(lab)
    finish_all(lab)
    (urgent,) = stored(lab, [wishing(rate(1, MINUTE), priority=3)])
    assert let_in(lab) == []
    lab.clock.advance(MINUTE)
    assert let_in(lab) == [urgent]


def test_keys_have_rates_of_their_own(lab: Lab) -> None:
    first = stored(lab, [wishing(rate(1, MINUTE, key="a"))] * 2)
    second = stored(lab, [wishing(rate(1, MINUTE, key="b"))] * 2)
    assert let_in(lab) == [first[0], second[0]]


def test_a_job_may_slow_its_key_down(lab: Lab) -> None:
    ids = stored(lab, [wishing(rate(60, MINUTE, burst=5))] * 3)
    let_in(lab)
    first, *others = claimed(lab)
    lab.finish(first, State.RETRYING, delay_us=30 * SECOND, slow_us=30 * SECOND)
    for job in others:
        lab.finish(job)
    (late,) = stored(lab, [wishing(rate(60, MINUTE, burst=5))])
    assert let_in(lab) == []
    assert blocked_on(lab, late) == "rate:k"
    assert 20 * SECOND < (opens_in(lab) or 0) <= 30 * SECOND
    lab.clock.advance(30 * SECOND)
    assert let_in(lab) == [late]
    assert lab.job(ids[0]).state is State.RETRYING
