"""Concurrency: so many jobs of a key at a time, whatever becomes of them."""

from __future__ import annotations

import pytest

from jobpipe.model.gate import GateKind, Wish
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import claim, steer, upkeep, worker
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.gates import prune_gates
from jobpipe.store.ops.steer import Patch
from tests.conformance.clock import SECOND
from tests.conformance.lab import LANE, Lab, held
from tests.conformance.store.gates import (
    blocked_on,
    claimed,
    group,
    let_in,
    opens_in,
    rate,
    slots,
    stored,
    wishing,
)


def test_so_many_are_let_in_as_there_are_slots(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(2))] * 4)
    assert [lab.job(id).state for id in ids] == [State.BLOCKED] * 4
    assert let_in(lab) == ids[:2]
    assert blocked_on(lab, ids[2]) == "concurrency:k"
    assert let_in(lab) == []


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.RETRYING, State.SCHEDULED])
def test_a_slot_is_free_again_however_an_attempt_ends(lab: Lab, state: State) -> None:
    ids = stored(lab, [wishing(slots(1))] * 2)
    assert let_in(lab) == ids[:1]
    (job,) = claimed(lab)
    assert let_in(lab) == []
    lab.finish(job, state)
    assert let_in(lab) == ids[1:]


def test_a_slot_is_free_again_when_who_holds_it_is_cancelled(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 3)
    assert let_in(lab) == ids[:1]
    lab.run(steer.cancel(ids[1], Reason.BY_USER))
    lab.run(steer.cancel(ids[0], Reason.BY_USER))
    assert let_in(lab) == ids[2:]


def test_a_retry_waits_for_a_slot_again(lab: Lab) -> None:
    first, second = stored(lab, [wishing(slots(1))] * 2)
    let_in(lab)
    (job,) = claimed(lab)
    lab.finish(job, State.RETRYING, delay_us=0)
    assert let_in(lab) == [second]
    moved = lab.run(upkeep.promote(10))
    assert moved.blocked == 1
    assert let_in(lab) == []
    (other,) = claimed(lab)
    lab.finish(other)
    assert let_in(lab) == [first]


def test_the_slot_of_a_dead_worker_goes_to_what_it_held(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 2)
    let_in(lab)
    mine = lab.worker(lease_us=SECOND)
    (job,) = lab.claim(mine)
    lab.clock.advance(2 * SECOND)
    (swept,) = lab.run(worker.sweep([]))
    assert (swept.queued, swept.blocked) == ((), 1)
    assert let_in(lab) == ids[:1]
    assert let_in(lab) == []
    (again,) = claimed(lab)
    assert again.id == job.id
    lab.finish(again)
    assert let_in(lab) == ids[1:]


def test_what_is_given_back_keeps_its_slot(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 2)
    let_in(lab)
    lab.run(claim.give_back([held(job) for job in claimed(lab)]))
    assert let_in(lab) == []
    assert lab.job(ids[0]).state is State.QUEUED


def test_keys_do_not_wait_for_each_other(lab: Lab) -> None:
    first = stored(lab, [wishing(slots(1, "a"))] * 3)
    second = stored(lab, [wishing(slots(1, "b"))] * 3)
    assert let_in(lab) == [first[0], second[0]]


def test_a_line_is_in_the_order_of_priority_and_then_of_arrival(lab: Lab) -> None:
    holder, late = stored(lab, [wishing(slots(1)), wishing(slots(1))])
    let_in(lab)
    (urgent,) = stored(lab, [wishing(slots(1), priority=7)])
    let_in(lab)
    (job,) = claimed(lab)
    assert job.id == holder
    lab.finish(job)
    assert let_in(lab) == [urgent]
    assert blocked_on(lab, late) == "concurrency:k"


def test_a_priority_that_is_changed_counts_in_the_line(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 3)
    let_in(lab)
    lab.run(steer.patch(ids[2], Patch(priority=5)))
    assert let_in(lab) == []
    lab.finish(claimed(lab)[0])
    assert let_in(lab) == [ids[2]]


def test_the_terms_of_the_newest_job_count(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 3)
    assert let_in(lab) == ids[:1]
    more = stored(lab, [wishing(slots(3))])
    assert let_in(lab) == ids[1:]
    stored(lab, [wishing(slots(1))])
    for job in claimed(lab)[:2]:
        lab.finish(job)
    assert let_in(lab) == []
    assert blocked_on(lab, more[0]) == "concurrency:k"


def test_what_an_operator_has_set_counts_before_all_terms(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 3)
    assert let_in(lab) == ids[:1]
    lab.place.sql("""UPDATE {p}gate SET override = '{"n":2}', next_at = 0""")
    assert let_in(lab) == ids[1:2]
    stored(lab, [wishing(slots(9))])
    assert let_in(lab) == []


def test_a_paused_gate_lets_nobody_through_until_its_time(lab: Lab) -> None:
    first, second = stored(lab, [wishing(slots(2))] * 2)
    until = lab.now() + 60 * SECOND
    lab.place.sql(
        "INSERT INTO {p}gate (kind, key, paused_at, paused_until)"
        f" VALUES ('concurrency', 'k', 1, {until})"
    )
    assert let_in(lab) == []
    assert 50 * SECOND < (opens_in(lab) or 0) <= 60 * SECOND
    lab.clock.advance(60 * SECOND)
    assert let_in(lab) == [first, second]


def test_a_wish_without_terms_waits_for_nothing_but_an_operator(lab: Lab) -> None:
    ids = stored(lab, [wishing(Wish(GateKind.CONCURRENCY, "queue:mail"))] * 3)
    assert let_in(lab) == ids


def test_all_gates_open_or_none_is_taken(lab: Lab) -> None:
    """Two jobs that name the same two keys the other way round do not stop each other."""
    a, b = slots(1, "a"), slots(1, "b")
    (first,) = stored(lab, [wishing(b)])
    let_in(lab)
    both = stored(lab, [wishing(a, b), wishing(b, a)])
    (other,) = stored(lab, [wishing(a)])
    assert let_in(lab) == [other]  # nobody holds a while he waits for b
    lab.finish(claimed(lab, 1)[0])
    assert lab.job(first).state is State.SUCCEEDED
    assert let_in(lab) == []
    assert [blocked_on(lab, id) for id in both] == ["concurrency:a"] * 2
    lab.finish(claimed(lab)[0])
    assert let_in(lab) == both[:1]
    lab.finish(claimed(lab)[0])
    assert let_in(lab) == both[1:]


def test_who_waits_at_one_gate_does_not_stop_those_behind_him(lab: Lab) -> None:
    """The line of a key goes on though its first waits for another key."""
    (holder,) = stored(lab, [wishing(slots(1, "b"))])
    let_in(lab)
    stuck = stored(lab, [wishing(slots(1, "a"), slots(1, "b"))] * 40)
    (free,) = stored(lab, [wishing(slots(1, "a"))])
    assert let_in(lab) == [free]
    assert lab.job(holder).state is State.QUEUED
    assert {blocked_on(lab, id) for id in stuck} == {"concurrency:b"}


def test_a_blocked_job_that_expires_ends_when_it_would_be_let_in(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1), expires_in_us=SECOND), wishing(slots(1))])
    lab.clock.advance(2 * SECOND)
    assert let_in(lab) == ids[1:]
    assert lab.job(ids[0]).reason is Reason.EXPIRED


def test_a_rerun_goes_to_the_end_of_the_line(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1))] * 3)
    let_in(lab)
    lab.finish(claimed(lab)[0], State.FAILED)
    assert let_in(lab) == ids[1:2]
    lab.run(steer.rerun(ids[0]))
    assert let_in(lab) == []
    lab.finish(claimed(lab)[0])
    assert let_in(lab) == ids[2:]
    lab.finish(claimed(lab)[0])
    assert let_in(lab) == ids[:1]


def test_who_nobody_claims_gives_way_to_another_queue(lab: Lab) -> None:
    (idle, here) = stored(lab, [wishing(slots(1), queue="nobody"), wishing(slots(1))])
    assert let_in(lab) == [idle]
    assert opens_in(lab) is not None
    lab.clock.advance(9 * SECOND)
    assert let_in(lab) == []
    lab.clock.advance(2 * SECOND)
    assert let_in(lab) == [here]
    assert blocked_on(lab, idle) == "concurrency:k"
    lab.finish(claimed(lab)[0])
    assert let_in(lab) == [idle]


def test_who_nobody_claims_keeps_his_slot_while_all_wait_for_one_queue(lab: Lab) -> None:
    first, _ = stored(lab, [wishing(slots(1))] * 2)
    assert let_in(lab) == [first]
    lab.clock.advance(11 * SECOND)
    assert let_in(lab) == []
    assert lab.job(first).state is State.QUEUED


def test_a_long_line_is_taken_round_by_round(lab: Lab) -> None:
    """More jobs than one round lets in, at a gate with room for all: none is forgotten."""
    ids = stored(lab, [wishing(slots(1))] * 1_500)
    let_in(lab)
    lab.place.sql("""UPDATE {p}gate SET override = '{"n":5000}', next_at = 0""")
    round_ = lab.run(admit())
    assert round_ is not None
    assert len(round_.queued) <= 1_000
    assert round_.next_in_us is not None
    assert round_.next_in_us <= 0
    assert len(round_.queued) + len(let_in(lab)) == len(ids) - 1


def test_a_gate_that_nobody_names_any_more_is_forgotten(lab: Lab) -> None:
    stored(lab, [wishing(slots(1, "gone"), group("gone"), rate(1_000, key="gone"))])
    let_in(lab)
    assert len(lab.place.sql("SELECT key FROM {p}gate")) == 3
    assert lab.run(prune_gates(100))[0] == 0
    lab.finish(claimed(lab)[0])
    let_in(lab)
    lab.clock.advance(SECOND)
    assert lab.run(prune_gates(100))[0] == 3
    assert lab.place.sql("SELECT key FROM {p}gate") == []


def test_a_deleted_job_takes_its_wishes_with_it(lab: Lab) -> None:
    (id,) = stored(lab, [wishing(slots(1), group())])
    let_in(lab)
    lab.finish(claimed(lab)[0])
    lab.run(steer.delete_job(id))
    assert lab.place.sql("SELECT job_id FROM {p}gate_job") == []
    assert lab.claim(lab.worker(), lanes=[LANE]) == []
