"""Which lanes a worker asks for, and how many jobs of each."""

from __future__ import annotations

from collections import Counter

import pytest

from jobpipe.config.settings import QueueSlots
from jobpipe.model.job import Lane
from jobpipe.runtime.lanes import Ask, LaneChoice

A0, A5, B0, C9 = Lane("a", 0), Lane("a", 5), Lane("b", 0), Lane("c", 9)
NONE: Counter[str] = Counter()


def choice(*queues: tuple[str, int | None], paused: tuple[str, ...] = ()) -> LaneChoice:
    lanes = LaneChoice([QueueSlots(name, slots) for name, slots in queues])
    lanes.know([A0, A5, B0, C9], paused)
    return lanes


def asked(lanes: LaneChoice, room: int = 10, held: Counter[str] = NONE) -> list[Ask]:
    return lanes.asks(room, held)


def test_all_queues_are_asked_by_priority() -> None:
    (ask,) = asked(choice(("*", None)))
    assert ask.lanes[:2] == (C9, A5)
    assert set(ask.lanes[2:]) == {A0, B0}
    assert ask.room == 10


def test_queues_of_one_priority_take_turns() -> None:
    lanes = choice(("*", None))
    orders = {asked(lanes)[0].lanes for _ in range(12)}
    assert {order[2:] for order in orders} == {(A0, B0), (B0, A0)}


def test_named_queues_come_in_their_order_each_by_priority() -> None:
    assert asked(choice(("b", None), ("a", None))) == [Ask((B0, A5, A0), 10)]


def test_named_queues_come_before_all_the_others() -> None:
    assert asked(choice(("b", None), ("*", None))) == [Ask((B0, C9, A5, A0), 10)]


def test_unknown_queues_are_not_asked_for() -> None:
    assert asked(choice(("nobody", None))) == []


def test_a_queue_with_slots_is_asked_lane_by_lane() -> None:
    lanes = choice(("b", None), ("a", 2), ("c", None))
    assert asked(lanes) == [Ask((B0,), 10), Ask((A5,), 2), Ask((A0,), 2), Ask((C9,), 10)]
    assert asked(lanes, held=Counter(a=1, b=7))[1:3] == [Ask((A5,), 1), Ask((A0,), 1)]
    assert [ask.lanes for ask in asked(lanes, held=Counter(a=2))] == [(B0,), (C9,)]


def test_slots_of_the_star_are_for_all_the_others_together() -> None:
    lanes = choice(("a", None), ("*", 3))
    assert asked(lanes, held=Counter(a=5, b=1)) == [
        Ask((A5, A0), 10),
        Ask((C9,), 2),
        Ask((B0,), 2),
    ]
    assert lanes.room_in(B0, Counter(a=9, b=1, c=1)) == 1


@pytest.mark.parametrize(
    "lane,expected", [(A0, True), (B0, False), (C9, False), (Lane("new", 1), False)]
)
def test_which_lanes_are_limited(lane: Lane, expected: bool) -> None:
    lanes = choice(("a", 2), ("b", None), ("*", None))
    assert lanes.limited(lane) is expected
    if expected:
        assert lanes.room_in(lane, Counter(a=1)) == 1


def test_paused_queues_are_left_out() -> None:
    lanes = choice(("a", None), ("b", 1), paused=("a", "b"))
    assert asked(lanes) == []


def test_it_is_told_when_there_is_something_new_to_ask_for() -> None:
    lanes = LaneChoice([QueueSlots("*", None)])
    assert lanes.know([A0], [])
    assert not lanes.know([A0], [])
    assert lanes.know([A0, B0], [])
    assert not lanes.know([A0, B0], ["a"])
    assert lanes.know([A0, B0], [])
    lanes.add([C9])
    assert C9 in asked(lanes)[0].lanes
