"""What a statement costs its sender: only columns that say something travel as full arrays."""

from __future__ import annotations

from typing import Any

from jobpipe.model.job import Finish
from jobpipe.model.state import Reason, State
from jobpipe.store.binding import array_parameters
from jobpipe.store.ops.finish import finish
from jobpipe.store.port import Batch, Statement


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
    batch = Batch(("id", "state"), [(1, "a"), (2, "a")], plain=(None, "a"))
    assert array_parameters(Statement("x", batch=batch)) == {"id": [1, 2], "state": []}


def test_plain_successes_are_told_by_four_arrays() -> None:
    values = sent(success(2), success(1, ended_at_ns=2_000))
    assert {name: value for name, value in values.items() if value} == {
        "id": [1, 2],
        "token": [1, 1],
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
