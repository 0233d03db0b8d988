"""Changes: named while they are few, counted when they are many; of the same job the last."""

from __future__ import annotations

import pytest

from jobpipe.model.change import (
    CHANGES_MAX,
    NO_CHANGES,
    UNKNOWN,
    Change,
    Changes,
    changes_of,
    counted,
    joined,
)
from jobpipe.model.state import State

QUEUED, RUNNING, DONE = State.QUEUED, State.RUNNING, State.SUCCEEDED


def many(n: int, first: int = 1, state: State = RUNNING) -> Changes:
    return changes_of(range(first, first + n), [("a", state)] * n)


def test_few_are_named_and_many_are_counted() -> None:
    assert changes_of([3, 1], [("a", RUNNING), ("b", DONE)]) == Changes(
        (Change(3, RUNNING, "a"), Change(1, DONE, "b"))
    )
    assert len(many(CHANGES_MAX).jobs) == 50
    assert many(CHANGES_MAX + 1) == Changes(tallies={("a", RUNNING): 51})


@pytest.mark.parametrize(
    "one,other,expected",
    [
        (NO_CHANGES, NO_CHANGES, NO_CHANGES),
        (many(1), many(1, state=DONE), many(1, state=DONE)),
        (many(30), many(20, 31), many(50)),
        (many(30), many(30, state=DONE), many(30, state=DONE)),
        (many(30), many(21, 31), Changes(tallies={("a", RUNNING): 51})),
        (
            many(60),
            many(2, 61, DONE),
            Changes(tallies={("a", RUNNING): 60, ("a", DONE): 2}),
        ),
        (UNKNOWN, many(1), Changes(many(1).jobs, is_complete=False)),
        (
            Changes(paused={"a": True}),
            Changes(paused={"a": False, "b": True}),
            Changes(paused={"a": False, "b": True}),
        ),
    ],
)
def test_joined_they_say_both(one: Changes, other: Changes, expected: Changes) -> None:
    assert joined(one, other) == expected


def test_counted_names_nobody() -> None:
    assert counted(Changes(many(2).jobs, {}, {"a": True})) == Changes(
        (), {("a", RUNNING): 2}, {"a": True}
    )
