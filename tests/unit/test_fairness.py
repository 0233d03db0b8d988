"""How turns are handed out between tenants, without a store."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jobpipe.policy.fairness import (
    LEAST_READY,
    MOST_READY,
    SPAN,
    Line,
    next_tag,
    ready_jobs,
    slots_for,
    turns,
)

PLENTY = 10**6


def test_equal_tenants_take_turns_and_the_earlier_line_is_first() -> None:
    lines = [Line("a", 1, 0, PLENTY), Line("b", 1, 0, 2), Line("c", 1, 0, PLENTY)]
    assert [turn.tenant for turn in turns(lines, 8, 0)] == [*"abcabcac"]


def test_a_weight_of_three_has_three_turns() -> None:
    lines = [Line("a", 3, 0, PLENTY), Line("b", 1, 0, PLENTY)]
    assert Counter(turn.tenant for turn in turns(lines, 40, 0)) == {"a": 30, "b": 10}


def test_nobody_begins_before_the_clock() -> None:
    lines = [Line("idle", 1, 0, PLENTY), Line("busy", 1, 5 * SPAN, PLENTY)]
    chosen = turns(lines, 4, 5 * SPAN)
    assert [turn.tenant for turn in chosen] == ["idle", "busy", "idle", "busy"]
    assert [turn.start for turn in chosen] == [5 * SPAN, 5 * SPAN, 6 * SPAN, 6 * SPAN]


def test_slots_are_those_of_workers_that_take_the_queue() -> None:
    workers = [(["mail"], 4), (["mail:2", "*"], 10), (["*:3"], 8), (["default"], 100)]
    assert slots_for("mail", workers) == 4 + 2 + 3
    assert slots_for("other", workers) == 10 + 3
    assert slots_for("default", workers) == 10 + 3 + 100


def test_two_jobs_are_ready_for_each_slot() -> None:
    assert [ready_jobs(n) for n in (0, 4, 50, 10**6)] == [LEAST_READY, LEAST_READY, 100, MOST_READY]


@given(
    weights=st.lists(st.integers(1, 1000), min_size=2, max_size=8),
    rooms=st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_tenants_that_wait_get_what_they_weigh(weights: list[int], rooms: list[int]) -> None:
    tags, clock = [0] * len(weights), 0
    had: Counter[str] = Counter()
    for room in rooms:
        order = sorted(range(len(weights)), key=lambda n: tags[n])
        lines = [Line(str(n), weights[n], tags[n], PLENTY) for n in order]
        for turn in turns(lines, room, clock):
            clock = turn.start
            tags[int(turn.tenant)] = next_tag(turn.start, weights[int(turn.tenant)])
            had[turn.tenant] += 1
    shares = [had[str(n)] / weight for n, weight in enumerate(weights)]
    for n, one in enumerate(weights):
        for m, other in enumerate(weights):
            rounding = 1e-3 * sum(rooms)
            assert abs(shares[n] - shares[m]) <= 1 / one + 1 / other + rounding


@given(
    most=st.lists(st.integers(0, 10), max_size=8),
    tags=st.lists(st.integers(0, 20 * SPAN), min_size=8, max_size=8),
    room=st.integers(0, 60),
    clock=st.integers(0, 20 * SPAN),
)
def test_no_turn_is_left_while_anybody_waits(
    most: list[int], tags: list[int], room: int, clock: int
) -> None:
    lines = [Line(str(n), 1, tags[n], each) for n, each in enumerate(most)]
    chosen = turns(lines, room, clock)
    had = Counter(turn.tenant for turn in chosen)
    assert len(chosen) == min(room, sum(most))
    assert all(had[line.tenant] <= line.most for line in lines)
    starts = [turn.start for turn in chosen]
    assert starts == sorted(starts)
    assert all(start >= clock for start in starts)
