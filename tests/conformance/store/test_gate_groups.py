"""Groups: one job at a time, in the order of their enqueue, until the job has ended."""

from __future__ import annotations

import pytest

from jobpipe.model.job import Lane
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import steer, upkeep, worker
from tests.conformance.clock import SECOND
from tests.conformance.lab import Lab
from tests.conformance.store.gates import (
    blocked_on,
    claimed,
    group,
    let_in,
    rate,
    slots,
    stored,
    wishing,
)


def run(lab: Lab, state: State = State.SUCCEEDED, **fields: object) -> int:
    """Run the one job that may run."""
    (job,) = claimed(lab)
    lab.finish(job, state, **fields)
    return job.id


def test_jobs_of_a_group_follow_one_another(lab: Lab) -> None:
    ids = stored(lab, [wishing(group())] * 3)
    order = []
    while let_in(lab):
        order.append(run(lab))
    assert order == ids


def test_what_a_job_waits_for_is_told(lab: Lab) -> None:
    ids = stored(lab, [wishing(group("user-42"))] * 2)
    let_in(lab)
    assert blocked_on(lab, ids[1]) == "group:user-42"


@pytest.mark.parametrize("state", [State.RETRYING, State.SCHEDULED])
def test_a_group_is_kept_while_its_job_waits_for_another_attempt(lab: Lab, state: State) -> None:
    first, second = stored(lab, [wishing(group())] * 2)
    let_in(lab)
    run(lab, state, delay_us=30 * SECOND)
    assert let_in(lab) == []
    lab.clock.advance(31 * SECOND)
    lab.run(upkeep.promote(10))
    assert let_in(lab) == [first]
    run(lab)
    assert let_in(lab) == [second]


def test_a_group_is_kept_when_a_worker_dies(lab: Lab) -> None:
    first, second = stored(lab, [wishing(group())] * 2)
    let_in(lab)
    lab.claim(lab.worker(lease_us=SECOND))
    lab.clock.advance(2 * SECOND)
    lab.run(worker.sweep([]))
    assert let_in(lab) == [first]
    assert run(lab) == first
    assert let_in(lab) == [second]


def test_a_priority_does_not_count_in_a_group(lab: Lab) -> None:
    first, second, urgent = stored(
        lab, [wishing(group()), wishing(group()), wishing(group(), priority=9)]
    )
    order = []
    for _ in range(3):
        order += let_in(lab)
        lane = Lane("default", lab.job(order[-1]).priority)
        (job,) = lab.claim(lab.worker(), 1, [lane])
        lab.finish(job)
    assert order == [first, second, urgent]


def test_after_a_failure_the_next_one_has_its_turn(lab: Lab) -> None:
    _, second = stored(lab, [wishing(group())] * 2)
    let_in(lab)
    run(lab, State.FAILED)
    assert let_in(lab) == [second]


def test_a_blocking_group_stands_until_its_failed_job_is_rerun(lab: Lab) -> None:
    first, second = stored(lab, [wishing(group(on_failure="block"))] * 2)
    let_in(lab)
    run(lab, State.FAILED)
    assert let_in(lab) == []
    lab.run(steer.rerun(first))
    assert let_in(lab) == [first]
    run(lab)
    assert let_in(lab) == [second]


def test_a_blocking_group_goes_on_when_its_failed_job_is_cancelled_after_a_rerun(
    lab: Lab,
) -> None:
    first, second = stored(lab, [wishing(group(on_failure="block"))] * 2)
    let_in(lab)
    run(lab, State.FAILED)
    lab.run(steer.rerun(first))
    let_in(lab)
    lab.run(steer.cancel(first, Reason.BY_USER))
    assert let_in(lab) == [second]


def test_a_blocking_group_goes_on_when_its_failed_job_is_deleted(lab: Lab) -> None:
    first, second = stored(lab, [wishing(group(on_failure="block"))] * 2)
    let_in(lab)
    run(lab, State.FAILED)
    assert let_in(lab) == []
    lab.run(steer.delete_job(first))
    assert let_in(lab) == [second]


def test_a_failing_group_cancels_who_waits_in_it(lab: Lab) -> None:
    ids = stored(lab, [wishing(group(on_failure="fail"))] * 4)
    let_in(lab)
    run(lab, State.FAILED)
    assert let_in(lab) == []
    assert {lab.job(id).reason for id in ids[1:]} == {Reason.BY_FLOW}
    assert lab.counts() == {("default", State.FAILED): 1, ("default", State.CANCELLED): 3}
    (later,) = stored(lab, [wishing(group(on_failure="fail"))])
    assert let_in(lab) == [later]


def test_a_long_group_that_fails_is_cancelled_round_by_round(lab: Lab) -> None:
    stored(lab, [wishing(group(on_failure="fail"))] * 2_300)
    let_in(lab)
    run(lab, State.FAILED)
    assert let_in(lab) == []
    assert lab.counts()["default", State.CANCELLED] == 2_299


def test_a_group_is_in_order_though_its_jobs_wait_at_other_gates_too(lab: Lab) -> None:
    (holder,) = stored(lab, [wishing(slots(1))])
    let_in(lab)
    first, second = stored(lab, [wishing(slots(1), group()), wishing(group())])
    assert let_in(lab) == []
    assert blocked_on(lab, first) == "concurrency:k"
    assert blocked_on(lab, second) == "group:g"
    assert run(lab) == holder
    assert let_in(lab) == [first]
    run(lab)
    assert let_in(lab) == [second]


def test_groups_do_not_wait_for_each_other(lab: Lab) -> None:
    ids = stored(lab, [wishing(group(f"g{number}")) for number in range(50)])
    assert let_in(lab) == ids


def test_a_cancelled_job_loses_its_turn(lab: Lab) -> None:
    ids = stored(lab, [wishing(group(), rate(1, per_us=SECOND))] * 3)
    let_in(lab)
    lab.run(steer.cancel(ids[1], Reason.BY_USER))
    run(lab)
    lab.clock.advance(SECOND)
    assert let_in(lab) == ids[2:]
