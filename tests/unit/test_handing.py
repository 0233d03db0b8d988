"""Results handed on: what is stored of a call in which another job's result stands."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from jobpipe import Jobpipe, previous
from jobpipe.app import planning
from jobpipe.app.handing import call_handing
from jobpipe.app.planning import growth_of, plan_of
from jobpipe.errors import InvalidArguments
from jobpipe.model import marks
from jobpipe.model.change import Change
from jobpipe.model.flow import NewPlace, Role
from jobpipe.model.state import State
from jobpipe.store.ops import handing
from jobpipe.store.ops.handing import hand_on
from jobpipe.store.port import Mode, Operation
from jobpipe.store.stepping import step
from jobpipe.tasks.flow import Node
from jobpipe.tasks.handing import Handed
from jobpipe.tasks.task import Defaults
from tests.unit.test_ops import Script


@pytest.fixture
def jp() -> Jobpipe:
    return Jobpipe("sqlite:///:memory:")


def test_null_stands_where_results_go(jp: Jobpipe) -> None:
    @jp.task
    def mix(day: date, parts: list[Any], by_name: dict[str, Any], *more: int, **rest: Any) -> None:
        return None

    call = mix.call(date(2026, 1, 2), [1, previous], {"a/b": {"~": previous}}, 7, other=previous)
    assert call.args == (
        '{"day":"2026-01-02","parts":[1,null],"by_name":{"a/b":{"~":null}},"more":[7],'
        '"rest":{"other":null}}'
    )
    assert [pointer for pointer, _ in call.handed] == [
        "/parts/1",
        "/by_name/a~1b/~0",
        "/rest/other",
    ]
    assert {place for _, place in call.handed} == {previous}


def test_the_other_arguments_must_fit(jp: Jobpipe) -> None:
    @jp.task
    def add(a: int, b: int) -> int:
        return a + b

    wrong: Any = "x"
    with pytest.raises(InvalidArguments, match="argument 'b'"):
        add.call(previous, wrong)
    untyped: Any = add
    with pytest.raises(InvalidArguments, match="missing"):
        untyped.call(previous)
    with pytest.raises(InvalidArguments, match="argument 'a'"):
        add.call(wrong, 1)


def test_a_plan_numbers_jobs_and_flows(jp: Jobpipe) -> None:
    @jp.task
    def work(n: Any = 0) -> int:
        return 0

    flow = jp.flow("outer", on_done=work.call())
    first = flow.add(work.call())
    inner = flow.add(jp.batch([work.call(1), work.call(2)], on_success=work.call()), after=[first])
    flow.add(work.call([first.result]), after=[inner])
    plan = plan_of(flow, Defaults())
    assert [(each.name, each.within) for each in plan.flows] == [("outer", None), (None, 0)]
    assert [(node.flow, node.role) for node in plan.nodes] == [
        (0, Role.NODE),
        (1, Role.NODE),
        (1, Role.NODE),
        (1, Role.ON_SUCCESS),
        (0, Role.NODE),
        (0, Role.ON_DONE),
    ]
    assert sorted((edge.child, edge.parent) for edge in plan.edges) == [
        (1, 0),
        (2, 0),
        (3, ~1),
        (4, ~1),
        (4, 0),
        (5, ~0),
    ]
    assert plan.places == [NewPlace(4, "/n/0", 0)]
    both = marks.FOLLOWED | marks.DEPENDENT
    assert [node.job.marks for node in plan.nodes] == [
        marks.FOLLOWED,
        both,
        both,
        marks.DEPENDENT,
        both,
        marks.DEPENDENT,
    ]


def test_what_is_handed_on_is_put_in_its_place() -> None:
    def row(pointer: str, state: str, result: str | None) -> dict[str, Any]:
        return {"child_id": 1, "pointer": pointer, "state": state, "result": result}

    script = Script(
        count_places=[{"child_id": 1, "n": 3}],
        measure_args=[{"id": 1, "args": 60, "results": 40}],
        read_places=[
            row("/a", "succeeded", '{"x":"\\ud800"}'),
            row("/b/1/c~1d", "succeeded", "12345678901234567890"),
            row("/e", "failed", "7"),
        ],
        read_args=[{"id": 1, "args": '{"a":null,"b":[0,{"c/d":null}],"e":null,"f":1.0}'}],
        fill_args=[],
    )
    step(Operation("hand_on", Mode.TRANSACTION, lambda: hand_on([1], 100)), script)
    batch = script.asked[-1].batch
    assert batch is not None
    assert batch.rows == [
        (1, '{"a":{"x":"\\ud800"},"b":[0,{"c/d":12345678901234567890}],"e":null,"f":1.0}')
    ]


def test_a_lone_surrogate_among_the_arguments_stays_what_it_is() -> None:
    script = Script(
        count_places=[{"child_id": 1, "n": 1}],
        measure_args=[{"id": 1, "args": 25, "results": 5}],
        read_places=[{"child_id": 1, "pointer": "/b", "state": "succeeded", "result": "[1,2]"}],
        read_args=[{"id": 1, "args": '  {"a":"\\ud800","b":null}'}],
        fill_args=[],
    )
    step(Operation("hand_on", Mode.TRANSACTION, lambda: hand_on([1], 100)), script)
    batch = script.asked[-1].batch
    assert batch is not None
    assert batch.rows == [(1, '  {"a":"\\ud800","b":[1,2]}')]


def test_who_is_handed_more_than_a_round_may_gets_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handing, "ROUND_BYTES", 10)
    script = Script(
        count_places=[{"child_id": id, "n": 1} for id in (1, 2)],
        measure_args=[
            {"id": 1, "args": 1, "results": 499},
            {"id": 2, "args": 19, "results": 1},
        ],
        read_places=[{"child_id": 1, "pointer": "/a", "state": "succeeded", "result": "7"}],
        read_args=[{"id": 1, "args": '{"a":null}'}],
        fill_args=[],
    )
    order = Operation("hand_on", Mode.TRANSACTION, lambda: hand_on([1, 2, 3], 700))
    assert step(order, script).left == {2}


@pytest.mark.parametrize("index", ["-1", "+1", "01", "1_0", "٣", " 1", "", "9" * 5000])
def test_places_in_lists_are_counted_from_the_first(jp: Jobpipe, index: str) -> None:
    @jp.task
    def take(a: list[list[int]]) -> int:
        return 1

    first = jp.flow().add(take.call([]))
    args = {"a": [[0], [0, 1]]}
    for pointer in (f"/a/{index}", f"/a/{index}/0"):
        with pytest.raises(InvalidArguments, match="leads to no place") as seen:
            call_handing(take, args, {pointer: first}, {})
        assert '"/name/0" for the first place' in (seen.value.help or "")
    call = call_handing(take, args, {"/a/1/0": first}, {})
    assert [pointer for pointer, _ in call.handed] == ["/a/1/0"]


def test_nothing_is_read_that_is_not_handed_on_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing, "ROUND_BYTES", 1_000)
    monkeypatch.setattr(handing, "SIZES_MAX", 2)
    sizes = {1: 5_000, 2: 200, 3: 300, 4: 1}
    script = Script(
        count_places=[{"child_id": id, "n": 1} for id in range(1, 8)],
        measure_args=lambda asked: [
            {"id": id, "args": 0, "results": sizes[id]} for id in asked.params["ids"]
        ],
        read_places=[{"child_id": 2, "pointer": "/a", "state": "succeeded", "result": "7"}],
        read_args=[{"id": 2, "args": '{"a":null}'}],
        fill_args=[],
        fail_handed=[{"id": 1, "queue": "default"}],
    )
    order = Operation("hand_on", Mode.TRANSACTION, lambda: hand_on(range(1, 8), 700))
    handed = step(order, script)
    read = [
        (each.name, each.params["ids"])
        for each in script.asked
        if each.name.startswith(("measure_", "read_"))
    ]
    assert read == [
        ("measure_args", [1, 2]),
        ("measure_args", [3, 4]),
        ("read_places", [2]),
        ("read_args", [2]),
    ]
    assert handed.left == {3, 4, 5, 6, 7}
    assert handed.failed == [Change(1, State.FAILED, "default")]


def test_a_result_says_whose_it_is() -> None:
    assert repr(previous) == "previous"
    assert repr(Handed("a node")) == "<the result of 'a node'>"


def test_a_flow_is_bounded_with_those_inside_of_it(
    jp: Jobpipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    @jp.task
    def work() -> None:
        return None

    flow = jp.flow()
    flow.add(work.call())
    flow.add(jp.batch([work.call(), work.call()]))
    monkeypatch.setattr(planning, "MAX_NODES", 3)
    assert len(plan_of(flow, Defaults()).nodes) == 3
    called = jp.flow(on_success=work.call(), on_done=work.call())
    called.add(jp.batch([work.call(), work.call(), work.call()], on_done=work.call()))
    assert len(plan_of(called, Defaults()).nodes) == 6  # whom it calls back does not count
    monkeypatch.setattr(planning, "MAX_NODES", 2)
    with pytest.raises(InvalidArguments, match="has 3 jobs; at most 2"):
        plan_of(flow, Defaults())


def test_what_is_added_at_once_is_bounded(jp: Jobpipe, monkeypatch: pytest.MonkeyPatch) -> None:
    @jp.task
    def work() -> None:
        return None

    nodes: list[Node[Any]] = [Node(work.call(), {}) for _ in range(3)]
    monkeypatch.setattr(planning, "MAX_NODES", 3)
    assert len(growth_of(7, 1, nodes, Defaults()).jobs) == 3
    monkeypatch.setattr(planning, "MAX_NODES", 2)
    with pytest.raises(InvalidArguments, match="3 jobs are added at once; at most 2"):
        growth_of(7, 1, nodes, Defaults())
