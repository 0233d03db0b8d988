"""Which lanes a worker asks for, and how many jobs of each."""

from __future__ import annotations

from collections import Counter

from jobpipe.config.settings import QueueSlots
from jobpipe.model.job import Claimed, Lane
from jobpipe.policy.ageing import Ageing
from jobpipe.runtime.lanes import Ask, LaneChoice

A0, A5, B0, C9 = Lane("a", 0), Lane("a", 5), Lane("b", 0), Lane("c", 9)


def choice(*queues: tuple[str, int | None], paused: tuple[str, ...] = ()) -> LaneChoice:
    lanes = LaneChoice([QueueSlots(name, slots) for name, slots in queues])
    lanes.know([A0, A5, B0, C9], paused)
    return lanes


def entry(name: str, slots: int) -> QueueSlots:
    return QueueSlots(name, slots)


def test_all_queues_are_asked_by_priority() -> None:
    (ask,) = choice(("*", None)).asks(0.0)
    assert ask.lanes[:2] == (C9, A5)
    assert set(ask.lanes[2:]) == {A0, B0}
    assert ask.entry is None


def test_queues_of_one_priority_take_turns() -> None:
    lanes = choice(("*", None))
    orders = set()
    for _ in range(12):
        (ask,) = lanes.asks(0.0)
        assert lanes.asks(0.0) == [ask]  # nobody has claimed yet
        orders.add(ask.lanes[2:])
        lanes.answered(ask, found(A0), True, 0.0)
    assert orders == {(A0, B0), (B0, A0)}


def test_what_a_queue_with_slots_of_its_own_is_asked_for_is_no_turn_of_the_others() -> None:
    lanes = choice(("c", 5), ("*", None))
    firsts = []
    for _ in range(4):
        own, others = lanes.asks(0.0)
        lanes.answered(own, [], True, 0.0)
        lanes.answered(others, found(others.lanes[1]), False, 0.0)
        firsts.append(others.lanes[1])
    assert firsts == [A0, B0, B0, A0]


def test_named_queues_come_in_their_order_each_by_priority() -> None:
    assert choice(("b", None), ("a", None)).asks(0.0) == [Ask((B0, A5, A0))]


def test_named_queues_come_before_all_the_others() -> None:
    assert choice(("b", None), ("*", None)).asks(0.0) == [Ask((B0, C9, A5, A0))]


def test_unknown_queues_are_not_asked_for() -> None:
    assert choice(("nobody", None)).asks(0.0) == []


def test_a_queue_with_slots_is_asked_lane_by_lane() -> None:
    lanes = choice(("b", None), ("a", 2), ("c", None))
    a = entry("a", 2)
    assert lanes.asks(0.0) == [Ask((B0,)), Ask((A5,), a), Ask((A0,), a), Ask((C9,))]


def test_a_queue_with_slots_has_left_what_it_does_not_hold() -> None:
    lanes = choice(("b", None), ("a", 2))
    ask = Ask((A5,), entry("a", 2))
    assert lanes.slots_left(ask, Counter(b=7)) == 2
    assert lanes.slots_left(ask, Counter(a=1, b=7)) == 1
    assert lanes.slots_left(ask, Counter(a=3)) == -1
    assert lanes.slots_left(Ask((B0,)), Counter(b=7)) is None


def test_slots_of_the_star_are_for_all_the_others_together() -> None:
    lanes = choice(("a", None), ("*", 3))
    star = entry("*", 3)
    assert lanes.asks(0.0) == [Ask((A5, A0)), Ask((C9,), star), Ask((B0,), star)]
    assert lanes.slots_left(Ask((C9,), star), Counter(a=5, b=1)) == 2
    assert lanes.slots_left(Ask((B0,), star), Counter(a=9, b=1, c=1)) == 1


def test_paused_queues_are_left_out() -> None:
    lanes = choice(("a", None), ("b", 1), paused=("a", "b"))
    assert lanes.asks(0.0) == []


def test_it_is_told_when_there_is_something_new_to_ask_for() -> None:
    lanes = LaneChoice([QueueSlots("*", None)])
    assert lanes.know([A0], [])
    assert not lanes.know([A0], [])
    assert lanes.know([A0, B0], [])
    assert not lanes.know([A0, B0], ["a"])
    assert lanes.know([A0, B0], [])
    lanes.add([C9])
    assert C9 in lanes.asks(0.0)[0].lanes


# Ageing


def found(*lanes: Lane) -> list[Claimed]:
    """What a claim has found, in its order."""
    return [
        Claimed(n, 1, 1, "t", lane.queue, lane.priority, "{}", 1, None, False, n, 1, None)
        for n, lane in enumerate(lanes)
    ]


def ageing_choice(*queues: tuple[str, int | None]) -> LaneChoice:
    lanes = LaneChoice([QueueSlots(name, slots) for name, slots in queues], Ageing(1.0))
    lanes.know([A0, A5, B0, C9], ())
    return lanes


def test_a_lane_that_was_passed_over_for_too_long_is_let_in_first() -> None:
    lanes = ageing_choice(("a", None), ("b", None))
    (ask,) = lanes.asks(0.0)
    lanes.answered(ask, found(A5, A5), False, 0.0)
    assert lanes.asks(4.9) == [Ask((A5, A0, B0))]
    assert lanes.asks(5.0) == [Ask((A0,), lets_in=True), Ask((A5, A0, B0))]
    lanes.answered(Ask((A0,), lets_in=True), found(A0), False, 5.0)
    assert lanes.asks(5.0) == [Ask((A5, A0, B0))]


def test_the_order_of_named_queues_is_kept() -> None:
    lanes = ageing_choice(("a", None), ("b", None), ("c", None))
    (ask,) = lanes.asks(0.0)
    lanes.answered(ask, found(A5, A0), False, 0.0)
    assert lanes.asks(1000.0) == [Ask((A5, A0, B0, C9))]


def test_all_the_other_queues_stand_in_one_order() -> None:
    lanes = ageing_choice(("b", None), ("*", None))
    lanes.answered(Ask((B0, C9, A5, A0)), found(C9), False, 0.0)
    assert lanes.asks(4.0) == [Ask((B0,)), Ask((A5,), lets_in=True), Ask((C9, A5, A0))]
    lanes.answered(Ask((A5,), lets_in=True), found(), True, 4.0)  # nothing was there
    assert lanes.asks(9.0) == [Ask((B0,)), Ask((A0,), lets_in=True), Ask((C9, A5, A0))]


def test_a_lane_is_let_in_within_the_slots_of_its_queue() -> None:
    lanes = ageing_choice(("a", 2))
    a = entry("a", 2)
    lanes.answered(Ask((A5,), a), found(A5, A5), False, 0.0)
    assert lanes.asks(5.0) == [Ask((A0,), a, lets_in=True), Ask((A5,), a), Ask((A0,), a)]


def test_a_claim_that_finds_all_there_is_ends_the_wait() -> None:
    lanes = ageing_choice(("a", None))
    lanes.answered(Ask((A5, A0)), found(A5), False, 0.0)
    lanes.answered(Ask((A5, A0)), found(A5, A0), True, 4.0)
    assert lanes.asks(1000.0) == [Ask((A5, A0))]
    lanes.answered(Ask((A5, A0)), found(A5), False, 0.0)
    lanes.answered(Ask((A5, A0)), found(A5, A0), False, 4.0)
    assert lanes.asks(1000.0) == [Ask((A5, A0))]


def test_paused_queues_are_not_let_in() -> None:
    lanes = ageing_choice(("*", None))
    lanes.answered(Ask((C9, A5, A0, B0)), found(C9), False, 0.0)
    lanes.know([], ["a", "b"])
    assert lanes.asks(1000.0) == [Ask((C9,))]
