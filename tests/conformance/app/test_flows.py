"""Batches, chains and flows: what runs after what, what is handed on, who is called at the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobpipe import Job, previous
from jobpipe.errors import InvalidArguments, InvalidTransition, JobCancelled, JobFailed
from jobpipe.model.flow import FlowState, Role
from jobpipe.model.state import Reason, State
from tests.conformance.app.flow_bench import Bench, called
from tests.conformance.app.site import Site
from tests.conformance.clock import SECOND


@pytest.fixture
def bench(site: Site) -> Bench:
    return Bench(site)


def test_a_batch_counts_its_jobs_and_calls_when_all_have_succeeded(bench: Bench) -> None:
    batch = called(bench, bench.jp.batch, [bench.add.call(n) for n in range(20)], name="sums")
    bench.enqueue(batch)
    assert bench.site.do(batch, "progress") == {
        "total": 20,
        "succeeded": 0,
        "failed": 0,
        "cancelled": 0,
        "left": 20,
    }
    assert sorted(bench.drain()) == ["done", "success"]
    assert bench.site.do(batch, "progress")["succeeded"] == 20
    assert bench.result(batch) == [n + 1 for n in range(20)]
    assert batch.state is FlowState.SUCCEEDED


def test_a_batch_with_a_failed_job_calls_so_when_the_others_have_ended(bench: Bench) -> None:
    bench.broken.add("b")
    batch = called(bench, bench.jp.batch, [bench.step.call(name) for name in "abc"])
    bench.enqueue(batch)
    assert bench.drain()[:2] == ["a", "c"]
    assert sorted(bench.done[2:]) == ["done", "failure"]
    with pytest.raises(JobFailed, match="1 failed, 0 cancelled of 3") as told:
        bench.result(batch)
    assert f"`jobpipe flow show {batch.id}`" in told.value.help
    roles = {role: (state, reason) for role, state, reason in bench.members(batch)[3:]}
    assert roles == {
        Role.ON_SUCCESS: (State.CANCELLED, Reason.BY_FLOW),
        Role.ON_FAILURE: (State.SUCCEEDED, None),
        Role.ON_DONE: (State.SUCCEEDED, None),
    }


def test_an_empty_batch_has_succeeded(bench: Bench) -> None:
    batch = bench.enqueue(called(bench, bench.jp.batch, []))
    assert sorted(bench.drain()) == ["done", "success"]
    assert bench.result(batch) == []


def test_a_chain_hands_each_result_to_the_next_link(bench: Bench) -> None:
    add, total = bench.add, bench.total
    chain = bench.jp.chain(add.call(1), add, add.call(10, b=previous), total.call([previous, 5]))
    bench.enqueue(chain)
    bench.drain()
    assert bench.result(chain) == 10 + 3 + 5


def test_a_link_that_hands_nothing_on_still_comes_after(bench: Bench) -> None:
    chain = bench.jp.chain(bench.step.call("first"), bench.step.call("second"))
    bench.enqueue(chain)
    assert bench.drain() == ["first", "second"]


def test_what_comes_after_a_failed_link_is_cancelled(bench: Bench) -> None:
    bench.broken.add("b")
    chain = bench.jp.chain(*[bench.step.call(name) for name in "abcd"])
    bench.enqueue(chain)
    assert bench.drain() == ["a"]
    assert bench.members(chain) == [
        (Role.NODE, State.SUCCEEDED, None),
        (Role.NODE, State.FAILED, Reason.FATAL),
        (Role.NODE, State.CANCELLED, Reason.BY_FLOW),
        (Role.NODE, State.CANCELLED, Reason.BY_FLOW),
    ]
    assert bench.state(chain) is FlowState.FAILED


def test_results_go_into_lists_and_dicts_of_arguments(bench: Bench) -> None:
    flow = bench.jp.flow("sum")
    left = flow.add(bench.add.call(1))
    right = flow.add(bench.add.call(left.result, b=5))
    both = flow.add(bench.total.call([left.result, right.result], {"a/~b": right.result}))
    bench.enqueue(flow)
    bench.drain()
    assert bench.result(flow) == [2, 7, 10]
    job = bench.site.do(bench.jp, "job", both.id)
    assert job.record.args == '{"numbers":[2,7],"extra":{"a/~b":7}}'


def test_a_node_comes_after_all_that_it_names(bench: Bench) -> None:
    flow = bench.jp.flow()
    first = [flow.add(bench.step.call(name)) for name in "abc"]
    flow.add(bench.step.call("last"), after=first)
    bench.enqueue(flow)
    assert bench.site.do(bench.jp, "flow_members", flow.id)[-1].waits == 3
    assert bench.drain() == ["a", "b", "c", "last"]


def test_a_result_of_the_wrong_type_parks_what_was_handed_it(bench: Bench) -> None:
    chain = bench.jp.chain(bench.step.call("no number"), bench.add.call(previous))
    bench.enqueue(chain)
    bench.drain()
    assert bench.members(chain)[1] == (Role.NODE, State.PARKED, Reason.UNDECODABLE)
    assert bench.state(chain) is FlowState.RUNNING


@pytest.mark.parametrize("policy", ["skip", "continue"])
def test_what_a_failed_node_does_is_a_policy(bench: Bench, policy: str) -> None:
    ran = ["b", "free"] if policy == "skip" else ["b", "after", "free"]
    bench.broken.add("a")
    flow = bench.jp.flow(policy=policy)
    a, b = flow.add(bench.step.call("a")), flow.add(bench.step.call("b"))
    after = flow.add(bench.step.call("after"), after=[a])
    flow.add(bench.step.call("free"), after=[b], after_any=[after])
    bench.enqueue(flow)
    assert bench.drain() == ran
    assert bench.state(flow) is FlowState.FAILED


def test_a_strict_flow_cancels_all_that_is_left(bench: Bench) -> None:
    bench.broken.add("a")
    flow = called(bench, bench.jp.flow, policy="cancel")
    flow.add(bench.step.call("a"))
    flow.add(bench.step.using(run_after=timedelta(hours=1)).call("later"))
    flow.add(bench.step.using(expires_in=3600, run_after=timedelta(minutes=1)).call("soon"))
    bench.enqueue(flow)
    assert sorted(bench.drain()) == ["done", "failure"]
    assert [state for role, state, _ in bench.members(flow) if role is Role.NODE] == [
        State.FAILED,
        State.CANCELLED,
        State.CANCELLED,
    ]
    assert bench.site.do(bench.jp, "flow_view", flow.id).ending == "failure"


def test_where_a_parent_did_not_succeed_null_is_handed_on(bench: Bench) -> None:
    bench.broken.add("a")
    flow = bench.jp.flow(policy="continue")
    a, b = flow.add(bench.step.call("a")), flow.add(bench.add.call(1))
    node: Any = a
    last = flow.add(bench.total.call([node.result, b.result]))
    bench.enqueue(flow)
    bench.drain()
    assert bench.site.do(bench.jp, "job", last.id).record.args == '{"numbers":[null,2]}'


def test_a_cancelled_flow_runs_nothing_more_and_calls_once(bench: Bench) -> None:
    flow = called(bench, bench.jp.flow)
    first = flow.add(bench.step.call("first"))
    flow.add(bench.step.call("second"), after=[first])
    bench.enqueue(flow)
    bench.site.do(flow, "cancel")
    bench.site.do(flow, "cancel")
    assert sorted(bench.drain()) == ["done", "failure"]
    with pytest.raises(JobCancelled, match="by_user"):
        bench.result(flow)
    with pytest.raises(InvalidTransition):
        bench.site.do(flow, "cancel")
    assert bench.drain() == []


def test_a_rerun_brings_back_what_failed_and_what_came_after_it(bench: Bench) -> None:
    bench.broken.add("b")
    flow = called(bench, bench.jp.flow)
    a = flow.add(bench.step.call("a"))
    b = flow.add(bench.step.call("b"), after=[a])
    flow.add(bench.step.call("c"), after=[b])
    bench.enqueue(flow)
    assert sorted(bench.drain()) == ["a", "done", "failure"]
    bench.broken.clear()
    bench.site.do(flow, "rerun")
    assert flow.state is FlowState.RUNNING
    assert bench.drain() == ["b", "c", "success"]
    assert bench.state(flow) is FlowState.SUCCEEDED
    with pytest.raises(InvalidTransition, match="nothing that failed"):
        bench.site.do(flow, "rerun")


def test_a_rerun_that_fails_again_calls_nobody_twice(bench: Bench) -> None:
    bench.broken.add("a")
    batch = bench.enqueue(called(bench, bench.jp.batch, [bench.step.call("a")]))
    assert sorted(bench.drain()) == ["done", "failure"]
    bench.site.do(batch, "rerun")
    assert bench.drain() == []
    assert bench.state(batch) is FlowState.FAILED


def test_a_node_that_is_run_once_more_is_waited_for(bench: Bench) -> None:
    bench.broken.add("a")
    batch = called(bench, bench.jp.batch, [bench.step.call("a"), bench.step.call("b")])
    batch.nodes[1].what = bench.step.using(run_after=timedelta(seconds=60)).call("b")
    bench.enqueue(batch)
    assert bench.drain() == []
    bench.broken.clear()
    job: Job[Any] = bench.site.do(bench.jp, "job", batch.nodes[0].id)
    bench.site.do(job, "rerun")
    assert bench.drain() == ["a"]
    assert bench.site.do(batch, "progress")["succeeded"] == 1
    bench.site.clock.advance(61 * SECOND)
    assert bench.drain() == ["b", "success", "done"]


def test_flows_are_nodes_of_flows(bench: Bench) -> None:
    flow = called(bench, bench.jp.flow)
    begin = flow.add(bench.step.call("begin"))
    many = flow.add(
        bench.jp.batch([bench.step.call(name) for name in "abc"], on_done=bench.step.call("inner")),
        after=[begin],
    )
    deep = bench.jp.flow("deep")
    deep.add(bench.jp.chain(bench.step.call("d"), bench.step.call("e")))
    flow.add(deep, after=[many])
    bench.enqueue(flow)
    *_, done = bench.site.do(bench.jp, "flow_members", flow.id)
    told = bench.site.do(bench.jp, "explain", done.id)
    assert told.summary == f"It comes after flow {flow.id}, which have not ended."
    ran = bench.drain()
    assert ran[:4] == ["begin", "a", "b", "c"]
    assert ran.index("d") < ran.index("e") < ran.index("success")
    assert sorted(ran) == sorted(["begin", *"abcde", "inner", "success", "done"])
    assert bench.result(flow) == ["begin", ["a", "b", "c"], ["e"]]
    assert bench.site.do(bench.jp, "flow_view", many.id).parent == flow.id


def test_a_rerun_reaches_into_flows_inside(bench: Bench) -> None:
    bench.broken.add("b")
    flow = bench.jp.flow()
    inner = flow.add(bench.jp.batch([bench.step.call("a"), bench.step.call("b")]))
    flow.add(bench.step.call("after"), after=[inner])
    bench.enqueue(flow)
    assert bench.drain() == ["a"]
    assert bench.state(flow) is FlowState.FAILED
    bench.broken.clear()
    bench.site.do(flow, "rerun")
    assert bench.drain() == ["b", "after"]
    assert bench.state(flow) is FlowState.SUCCEEDED


def test_a_cancel_reaches_into_flows_inside(bench: Bench) -> None:
    flow = bench.jp.flow()
    flow.add(bench.jp.batch([bench.step.call("a")], on_done=bench.step.call("inner")))
    bench.enqueue(flow)
    bench.site.do(flow, "cancel")
    assert bench.drain() == ["inner"]
    assert bench.state(flow) is FlowState.CANCELLED


def test_at_its_deadline_what_is_left_is_cancelled(bench: Bench) -> None:
    flow = called(bench, bench.jp.flow, deadline=timedelta(minutes=1))
    flow.add(bench.step.using(run_after=timedelta(hours=1)).call("late"))
    bench.enqueue(flow)
    assert bench.drain() == []
    with bench.site.running(bench.jp):
        bench.site.clock.advance(61 * SECOND)
        with pytest.raises(JobCancelled, match="deadline"):
            bench.result(flow)
    bench.site.drain(bench.jp)
    assert sorted(bench.done) == ["done", "failure"]


def test_flows_are_listed_newest_first(bench: Bench) -> None:
    one = bench.enqueue(bench.jp.batch([bench.add.call(1)], name="one"))
    two = bench.enqueue(bench.jp.batch(name="two"))
    bench.site.drain(bench.jp, queues="nobody")
    listed = bench.site.do(bench.jp, "flows")
    assert [(each.id, each.state) for each in listed] == [
        (two.id, FlowState.SUCCEEDED),
        (one.id, FlowState.RUNNING),
    ]
    assert [each.id for each in bench.site.do(bench.jp, "flows", state="running")] == [one.id]
    assert [each.id for each in bench.site.do(bench.jp, "flows", before=two.id)] == [one.id]


def test_what_makes_no_sense_is_refused_before_anything_is_stored(bench: Bench) -> None:
    jp, add = bench.jp, bench.add
    other = jp.flow().add(add.call(1))
    with pytest.raises(InvalidArguments, match="belongs to another flow"):
        jp.flow().add(add.call(2), after=[other])
    with pytest.raises(InvalidArguments, match="only in a flow"):
        bench.site.enqueue(add, other.result)
    wrong: Any = "x"
    with pytest.raises(InvalidArguments, match="argument 'b'"):
        jp.flow().add(add.call(other.result, b=wrong))
    with pytest.raises(InvalidArguments, match="links of a chain"):
        jp.chain(add.call(previous))
    with pytest.raises(InvalidArguments, match="option policy"):
        jp.flow(policy="explode")
    with pytest.raises(InvalidArguments, match="no key of its own"):
        bench.enqueue(jp.batch([add.using(idempotency_key="k").call(1)]))
    with pytest.raises(InvalidArguments, match="has no node"):
        jp.flow().add(jp.batch())
    for alone in (3, None, other):
        wrong = alone
        with pytest.raises(InvalidArguments, match=r"option after=.* allowed: a list of nodes"):
            jp.flow().add(add.call(1), after=wrong)
    wrong = [3]
    with pytest.raises(InvalidArguments, match="3 is no node"):
        jp.flow().add(add.call(1), after_any=wrong)
    wrong = add.call(1)
    with pytest.raises(InvalidArguments, match=r"option calls=.* allowed: a list of calls"):
        jp.batch(wrong)
    assert bench.site.do(jp, "counts")["queued"] == 0
    stored = bench.enqueue(jp.batch([add.call(1)]))
    with pytest.raises(InvalidArguments, match="stored already"):
        stored.add(add.call(2))
    with pytest.raises(InvalidArguments, match="stored already"):
        bench.enqueue(stored)


def test_who_comes_after_others_comes_to_his_gates_then(bench: Bench) -> None:
    running: list[int] = []

    @bench.jp.task(name="alone", concurrency=1)
    def alone(n: int) -> int:
        running.append(n)
        assert len(running) == 1
        running.remove(n)
        return n

    flow = called(bench, bench.jp.flow)
    first = flow.add(alone.call(1))
    second = [flow.add(alone.call(n), after=[first]) for n in range(2, 6)]
    flow.add(bench.total.call([node.result for node in second]))
    bench.enqueue(flow)
    assert sorted(bench.drain()) == ["done", "success"]
    assert bench.result(flow) == [1, 2, 3, 4, 5, 14]


def test_nobody_is_handed_more_than_arguments_may_have(site: Site) -> None:
    bench = Bench(site, max_payload=1024)

    @bench.jp.task(name="much")
    def much() -> str:
        return "x" * 1020  # 1,022 bytes as a result, {"name":...} around them 1,031

    flow = bench.jp.flow()
    flow.add(bench.step.call(flow.add(much.call()).result))
    bench.enqueue(flow)
    assert bench.drain() == []
    assert bench.members(flow) == [
        (Role.NODE, "succeeded", None),
        (Role.NODE, "failed", Reason.UNSTORABLE),
    ]
