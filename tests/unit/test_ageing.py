"""When a lane that was passed over is let in: expected times by hand."""

from __future__ import annotations

from jobpipe.model.job import Lane
from jobpipe.policy.ageing import Ageing

LOW, MIDDLE, HIGH = Lane("a", -10), Lane("a", 0), Lane("a", 10)


def test_each_step_of_priority_is_a_step_of_time() -> None:
    ageing = Ageing(2.0)
    ageing.passed([LOW, MIDDLE], 10, now=100.0)
    assert ageing.overdue([HIGH, MIDDLE, LOW], 119.9) is None
    assert ageing.overdue([HIGH, MIDDLE, LOW], 120.0) == MIDDLE
    assert ageing.overdue([HIGH, LOW], 139.9) is None
    assert ageing.overdue([HIGH, LOW], 140.0) == LOW


def test_the_count_goes_on_while_it_is_passed_over() -> None:
    ageing = Ageing(1.0)
    for now in range(100, 111):
        ageing.passed([MIDDLE], 10, float(now))
    assert ageing.overdue([MIDDLE], 110.0) == MIDDLE


def test_who_has_waited_longest_beyond_his_time_is_first() -> None:
    ageing = Ageing(1.0)
    ageing.passed([MIDDLE], 10, now=0.0)
    ageing.passed([LOW], 0, now=-1.0)
    assert ageing.overdue([MIDDLE, LOW], 10.0) == LOW


def test_who_was_asked_in_his_turn_counts_anew() -> None:
    ageing = Ageing(1.0)
    ageing.passed([MIDDLE], 10, now=0.0)
    ageing.reached([HIGH, MIDDLE])
    assert ageing.overdue([MIDDLE], 99.0) is None
    ageing.passed([MIDDLE], 10, now=100.0)
    assert ageing.overdue([MIDDLE], 109.9) is None


def test_who_was_let_in_waits_a_tenth_of_the_time_for_the_next_one() -> None:
    ageing = Ageing(1.0)
    ageing.passed([LOW], 10, now=0.0)
    ageing.let_in(LOW)
    assert ageing.overdue([LOW], 1000.0) is None  # nobody has passed it over since
    ageing.passed([LOW], 10, now=30.0)
    assert ageing.overdue([LOW], 31.9) is None
    assert ageing.overdue([LOW], 32.0) == LOW
    ageing.let_in(LOW)
    ageing.reached([LOW])
    ageing.passed([LOW], 10, now=40.0)
    assert ageing.overdue([LOW], 59.9) is None


def test_between_two_who_are_let_in_a_claim_is_filled_in_order() -> None:
    ageing = Ageing(1.0)
    ageing.passed([MIDDLE, LOW], 10, now=0.0)
    assert ageing.overdue([MIDDLE, LOW], 99.0) == MIDDLE
    ageing.let_in(MIDDLE)
    assert ageing.overdue([MIDDLE, LOW], 99.0) is None
    ageing.passed([LOW], 10, now=99.0)
    assert ageing.overdue([MIDDLE, LOW], 99.0) == LOW


def test_a_smaller_distance_counts_from_when_it_is_seen() -> None:
    ageing = Ageing(1.0)
    ageing.passed([LOW], 10, now=0.0)
    ageing.passed([LOW], -9, now=5.0)
    assert ageing.overdue([LOW], 6.0) == LOW


def test_nothing_ages_without_a_step() -> None:
    ageing = Ageing(0)
    ageing.passed([LOW, MIDDLE], 10, now=0.0)
    assert ageing.overdue([LOW, MIDDLE], 1e9) is None
