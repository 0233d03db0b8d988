"""Flows that grow while they run."""

from __future__ import annotations

from typing import Any

import pytest

from jobpipe import current_job
from jobpipe.errors import JobFailed
from jobpipe.model.flow import FlowState, Role
from jobpipe.model.state import State
from jobpipe.store.ops import admit, flows
from tests.conformance.app.flow_bench import Bench, called
from tests.conformance.app.site import Site


@pytest.fixture
def bench(site: Site) -> Bench:
    return Bench(site)


def test_a_running_node_adds_to_its_flow(bench: Bench) -> None:
    @bench.jp.task(name="split")
    def split(parts: int) -> None:
        flow = bench.jp.current_flow()
        nodes = flow.add_many(bench.add.call(n) for n in range(parts))
        flow.add(bench.total.call([node.result for node in nodes]))
        assert current_job().id != nodes[0].id

    flow = called(bench, bench.jp.flow)
    flow.add(split.call(3))
    bench.enqueue(flow)
    assert sorted(bench.drain()) == ["done", "success"]
    assert bench.site.do(flow, "progress") == {
        "total": 5,
        "succeeded": 5,
        "failed": 0,
        "cancelled": 0,
        "left": 0,
    }
    last = bench.members(flow)[-1]
    assert last == (Role.NODE, State.SUCCEEDED, None)


def test_only_a_node_that_runs_adds_to_its_flow(bench: Bench) -> None:
    with pytest.raises(LookupError):
        bench.jp.current_flow()

    @bench.jp.task(name="alone")
    def alone() -> None:
        bench.jp.current_flow().add(bench.add.call(1))

    job = bench.site.enqueue(alone)
    bench.drain()
    with pytest.raises(JobFailed, match="no node of a flow"):
        bench.site.result(job)


@pytest.mark.parametrize("wrong", [3, [3]])
def test_a_running_node_is_told_what_is_no_node(bench: Bench, wrong: Any) -> None:
    @bench.jp.task(name="grow wrongly", max_attempts=1)
    def grow() -> None:
        bench.jp.current_flow().add(bench.add.call(1), after=wrong)

    batch = bench.enqueue(bench.jp.batch([grow.call()]))
    bench.drain()
    (member,) = bench.site.do(bench.jp, "flow_members", batch.id)
    with pytest.raises(JobFailed, match="InvalidArguments"):
        bench.site.result(bench.site.do(bench.jp, "job", member.id))


def test_what_was_added_stays_when_the_attempt_fails(bench: Bench) -> None:
    @bench.jp.task(name="split and fail", max_attempts=2)
    def split() -> None:
        bench.jp.current_flow().add(bench.step.call(f"part {current_job().attempt}"))
        if current_job().attempt == 1:
            raise ValueError("after the first part")

    flow = called(bench, bench.jp.flow)
    flow.add(split.call())
    bench.enqueue(flow)
    assert sorted(bench.drain()) == ["done", "part 1", "part 2", "success"]


def test_a_flow_that_is_being_cancelled_takes_in_nothing_that_runs(bench: Bench) -> None:
    @bench.jp.task(name="cancel and grow")
    def cancel_and_grow() -> None:
        flow = bench.jp.current_flow()
        bench.jp.cancel_flow(batch.id)
        flow.add(bench.step.using(queue_name="later").call("too late"))

    batch = bench.jp.batch([cancel_and_grow.call()], on_done=bench.step.call("done"))
    bench.enqueue(batch)
    assert bench.drain(queues="default") == ["done"]
    assert [state for _, state, _ in bench.members(batch)] == [
        State.SUCCEEDED,
        State.SUCCEEDED,
        State.CANCELLED,
    ]


def test_what_is_added_to_a_flow_that_is_being_cancelled_can_be_taken_by_nobody(
    bench: Bench,
) -> None:
    stood: list[str] = []

    @bench.jp.task(name="cancel, grow and look")
    def grow() -> None:
        flow = bench.jp.current_flow()
        bench.jp.cancel_flow(batch.id)
        (node,) = flow.add_many([bench.step.using(queue_name="later").call("too late")])
        stood.append(bench.jp.job(node.id).state)

    batch = bench.jp.batch([grow.call()], on_done=bench.step.call("done"))
    bench.enqueue(batch)
    assert bench.drain(queues="default") == ["done"]
    assert stood in (["blocked"], ["cancelled"])  # as soon as a round has come by
    assert bench.state(batch) is FlowState.CANCELLED
    bench.site.do(batch, "rerun")
    assert bench.drain() == ["too late"]
    assert bench.state(batch) is FlowState.SUCCEEDED


def test_however_much_is_added_to_such_a_flow_none_of_it_is_let_go(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admit, "LOOKS_MAX", 2)
    monkeypatch.setattr(flows, "SLICE", 2)
    added: list[int] = []

    @bench.jp.task(name="cancel and grow much")
    def grow() -> None:
        flow = bench.jp.current_flow()
        bench.jp.cancel_flow(batch.id)
        calls = [bench.step.using(queue_name="later").call(str(n)) for n in range(5)]
        added.extend(node.id for node in flow.add_many(calls))

    batch = bench.jp.batch([grow.call()], on_done=bench.step.call("done"))
    bench.enqueue(batch)
    assert bench.drain(queues="default") == ["done"]
    seen = [bench.site.do(bench.jp, "job", id).record for id in added]
    assert [(job.state, job.queued_at) for job in seen] == [(State.CANCELLED, None)] * 5
    bench.site.do(batch, "rerun")
    assert sorted(bench.drain()) == ["0", "1", "2", "3", "4"]
    assert bench.state(batch) is FlowState.SUCCEEDED
