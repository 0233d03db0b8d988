"""What a statement costs its sender: only columns that say something travel as full arrays."""

from __future__ import annotations

from typing import Any

from jobpipe.model.job import Finish
from jobpipe.model.state import Reason, State
from jobpipe.store.binding import array_parameters, sqlite_parameters
from jobpipe.store.ops.finish import finish
from jobpipe.store.port import VARIES, Batch, Statement


def sent(*outcomes: Finish) -> dict[str, Any]:
    return array_parameters(next(finish(outcomes, 9_000).start()))


def success(id: int, **fields: Any) -> Finish:
    end = {"token": 1, "state": State.SUCCEEDED, "outcome": "succeeded", "duration_us": 5}
    return Finish(id=id, **{**end, **fields})


def test_a_column_of_nulls_is_left_out() -> None:
    batch = Batch(("id", "tags", "meta"), [(1, None, "{}"), (2, None, None)])
    assert array_parameters(Statement("x", batch=batch)) == {
        "id": [1, 2],
        "tags": [],
        "meta": ["{}", None],
    }


def test_a_column_of_what_goes_without_saying_is_left_out() -> None:
    batch = Batch(("id", "state"), [(1, "a"), (2, "a")], plain=(VARIES, "a"))
    assert array_parameters(Statement("x", batch=batch)) == {"id": [1, 2], "state": []}


def test_plain_successes_are_told_by_three_arrays() -> None:
    values = sent(success(2), success(1, ended_at_ns=2_000))
    assert {name: value for name, value in values.items() if value} == {
        "id": [1, 2],
        "duration_us": [5, 5],
        "age_us": [7, 9],
    }


def test_one_that_differs_is_told_in_full() -> None:
    failed = success(2, state=State.FAILED, reason=Reason.FATAL, outcome="failed", error="{}")
    values = sent(success(1), failed)
    assert values["state"] == ["succeeded", "failed"]
    assert values["reason"] == [None, "fatal"]
    assert values["outcome"] == ["succeeded", "failed"]
    assert values["error"] == [None, "{}"]
    assert values["result"] == values["delay_us"] == values["charged"] == []


def test_sqlite_gets_plain_successes_apart_and_short() -> None:
    failed = success(2, state=State.FAILED, reason=Reason.FATAL, outcome="failed", error="{}")
    again = success(3, token=2, result='"x"')
    statement = next(finish((success(1, result="7"), failed, again), 9_000).start())
    values = sqlite_parameters(statement, ("now", "rows", "plain", "plain_ids"), 4)
    assert values == {
        "now": 4,
        "plain": '[[1,"7",5,9]]',
        "plain_ids": "[1]",
        "rows": '[[2,1,"failed","fatal","failed",null,"{}",null,true,5,9],'
        '[3,2,"succeeded",null,"succeeded","\\"x\\"",null,null,true,5,9]]',
    }


def test_a_script_that_does_not_part_its_batch_gets_all_rows() -> None:
    batch = Batch(("id", "state"), [(1, "a"), (2, "b")], plain=(VARIES, "a"))
    values = sqlite_parameters(Statement("x", batch=batch), ("rows",), 4)
    assert values == {"rows": '[[1,"a"],[2,"b"]]'}
