"""Flows in the store: rounds of bounded work, and rows that go when nobody needs them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobpipe.errors import FlowNotFound, InvalidTransition, LeaseLost
from jobpipe.model import marks
from jobpipe.model.flow import (
    FlowKind,
    FlowState,
    Growth,
    Need,
    NewEdge,
    NewFlow,
    NewNode,
    Plan,
    PlanStored,
    Policy,
    Role,
)
from jobpipe.model.job import Claimed
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import compose, flows, steer, upkeep
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.forget import prune_empty_flows
from tests.conformance.clock import DAY
from tests.conformance.lab import Lab, new_job

KEEP: dict[State, int | None] = {
    State.SUCCEEDED: DAY,
    State.FAILED: DAY,
    State.CANCELLED: DAY,
}
TABLES = ("flow", "member", "edge", "place", "growth", "look")


def a_flow(
    within: int | None = None, policy: Policy = Policy.SKIP, deadline_us: int | None = None
) -> NewFlow:
    return NewFlow(
        kind=FlowKind.FLOW, name=None, policy=policy, deadline_us=deadline_us, within=within
    )


def plan(
    parents: Sequence[Sequence[int]], callbacks: Sequence[Role] = (), flow: NewFlow | None = None
) -> Plan:
    """A flow of jobs; of each is told what it comes after."""
    nodes, edges = [], []
    for child, after in enumerate(parents):
        mark = marks.FOLLOWED | (marks.DEPENDENT if after else 0)
        nodes.append(NewNode(job=new_job(marks=mark), flow=0))
        edges += [NewEdge(child, parent, Need.SUCCESS) for parent in after]
    for role in callbacks:
        edges.append(NewEdge(len(nodes), ~0, Need.ANY))
        nodes.append(NewNode(job=new_job(marks=marks.DEPENDENT, task=role), flow=0, role=role))
    return Plan(flows=[flow or a_flow()], nodes=nodes, edges=edges, places=[])


def stored(lab: Lab, plan: Plan) -> PlanStored:
    return lab.run(compose.compose(plan, enqueue))


def rounds(lab: Lab) -> int:
    """Admit until nothing is left to look at; returns how many rounds that took."""
    count = 0
    while True:
        count += 1
        done = lab.run(admit())
        assert done is not None
        if not lab.place.sql("SELECT 1 FROM {p}look") and not done.more:
            return count


def run_all(lab: Lab, state: State = State.SUCCEEDED) -> list[Claimed]:
    """Run what is queued now."""
    jobs = lab.claim(lab.worker(), 10_000)
    for job in jobs:
        lab.finish(job, state)
    return jobs


def flow_state(lab: Lab, id: int) -> FlowState:
    found = lab.run(compose.flow(id))
    assert found is not None
    return found.state


def test_a_thousand_dependents_are_let_go_in_slices(lab: Lab) -> None:
    kept = stored(lab, plan([[], *([0] for _ in range(2_500))]))
    rounds(lab)
    assert [job.id for job in run_all(lab)] == [kept.jobs[0].id]
    first = lab.run(admit())
    assert first is not None
    assert (len(first.queued), first.more) == (1_000, True)
    assert rounds(lab) == 2
    assert lab.counts()["default", State.QUEUED] == 2_500


def test_a_cancel_goes_through_a_flow_in_slices(lab: Lab) -> None:
    kept = stored(lab, plan([[] for _ in range(2_500)], [Role.ON_DONE]))
    rounds(lab)
    lab.run(compose.cancel_flow(kept.flows[0]))
    assert lab.counts()["default", State.CANCELLED] == 1_000
    rounds(lab)
    assert lab.counts() == {("default", State.CANCELLED): 2_500, ("default", State.QUEUED): 1}
    assert flow_state(lab, kept.flows[0]) is FlowState.CANCELLED


def test_a_running_node_is_asked_to_stop(lab: Lab) -> None:
    kept = stored(lab, plan([[]]))
    (job,) = lab.claim(lab.worker(), 1)
    lab.run(compose.cancel_flow(kept.flows[0]))
    assert lab.job(job.id).cancel_requested_at is not None
    assert flow_state(lab, kept.flows[0]) is FlowState.RUNNING
    lab.finish(job, State.CANCELLED)
    rounds(lab)
    assert flow_state(lab, kept.flows[0]) is FlowState.CANCELLED


def test_jobs_of_a_flow_are_kept_until_it_has_ended_and_go_with_it(lab: Lab) -> None:
    outer = plan([[], [0]], [Role.ON_DONE])
    outer.flows.append(a_flow(within=0))
    outer.nodes.append(NewNode(job=new_job(marks=marks.FOLLOWED), flow=1))
    kept = stored(lab, outer)
    rounds(lab)
    assert len(run_all(lab)) == 2
    rounds(lab)
    lab.clock.advance(2 * DAY)
    # The flow inside has ended, so its job goes; the others' flow has not.
    assert lab.run(upkeep.prune(0, 100, KEEP)).deleted == 1
    assert len(run_all(lab)) == 1
    rounds(lab)
    assert len(run_all(lab)) == 1  # the callback
    rounds(lab)
    assert flow_state(lab, kept.flows[0]) is FlowState.SUCCEEDED
    lab.clock.advance(2 * DAY)
    assert lab.run(upkeep.prune(0, 100, KEEP)).deleted == 3
    assert {name: lab.place.sql(f"SELECT * FROM {{p}}{name}") for name in TABLES} == {
        name: [] for name in TABLES
    }


def test_a_job_of_a_flow_that_runs_cannot_be_deleted(lab: Lab) -> None:
    kept = stored(lab, plan([[], [0]]))
    run_all(lab)
    with pytest.raises(InvalidTransition, match="flow that has not ended"):
        lab.run(steer.delete_job(kept.jobs[0].id))


def test_whoever_is_cancelled_by_hand_counts_once(lab: Lab) -> None:
    kept = stored(lab, plan([[], [0], []]))
    rounds(lab)
    lab.run(steer.cancel(kept.jobs[1].id, Reason.BY_USER))
    assert len(run_all(lab)) == 2
    rounds(lab)
    found = lab.run(compose.flow(kept.flows[0]))
    assert found is not None
    assert (found.succeeded, found.cancelled, found.state) == (2, 1, FlowState.CANCELLED)


def test_a_stale_attempt_adds_nothing(lab: Lab) -> None:
    kept = stored(lab, plan([[]]))
    (job,) = lab.claim(lab.worker(), 1)
    growth = Growth(
        job_id=job.id,
        token=job.token + 1,
        jobs=[new_job(marks=marks.FOLLOWED)],
        edges=[],
        places=[],
    )
    with pytest.raises(LeaseLost):
        lab.run(compose.grow(growth, enqueue))
    found = lab.run(compose.flow(kept.flows[0]))
    assert found is not None
    assert found.total == 1


def test_there_is_no_such_flow(lab: Lab) -> None:
    with pytest.raises(FlowNotFound):
        lab.run(compose.cancel_flow(77))
    with pytest.raises(FlowNotFound):
        lab.run(compose.rerun_flow(77))


def test_a_round_stops_so_many_flows_that_are_late(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "LATE_MAX", 2)
    for _ in range(5):
        stored(lab, plan([[]], flow=a_flow(deadline_us=DAY)))
    rounds(lab)
    lab.clock.advance(DAY)
    told = [lab.run(admit()) for _ in range(3)]
    assert [(each and len(each.ended), each and each.more) for each in told] == [
        (2, True),
        (2, True),
        (1, True),
    ]


def test_empty_flows_are_pruned_in_steps(lab: Lab) -> None:
    for _ in range(3):
        stored(lab, plan([]))
    rounds(lab)
    assert lab.run(prune_empty_flows(DAY, 2)) == 0
    lab.clock.advance(2 * DAY)
    assert [lab.run(prune_empty_flows(DAY, 2)) for _ in range(3)] == [2, 1, 0]


def test_a_round_goes_on_where_a_flow_is_gone(lab: Lab) -> None:
    kept = stored(lab, plan([[]]))
    other = stored(lab, plan([[]]))
    rounds(lab)
    assert len(run_all(lab, State.FAILED)) == 2
    lab.place.sql(f"DELETE FROM {{p}}flow WHERE id = {kept.flows[0]}")
    rounds(lab)
    assert flow_state(lab, other.flows[0]) is FlowState.FAILED


def test_what_was_added_to_a_flow_is_forgotten_with_it(lab: Lab) -> None:
    kept = stored(lab, plan([[]]))
    run_all(lab)
    rounds(lab)
    lab.run(steer.rerun(kept.jobs[0].id))
    (job,) = lab.claim(lab.worker(), 1)
    new = [new_job(marks=marks.FOLLOWED)]
    growth = Growth(job_id=job.id, token=job.token, jobs=new, edges=[], places=[])
    added = lab.run(compose.grow(growth, enqueue))
    lab.finish(job)
    run_all(lab)
    for id in (job.id, added.jobs[0].id):
        lab.run(steer.delete_job(id))
    rounds(lab)
    assert {name: lab.place.sql(f"SELECT * FROM {{p}}{name}") for name in TABLES} == {
        name: [] for name in TABLES
    }
