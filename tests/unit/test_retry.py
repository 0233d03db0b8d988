"""Retry delays: lists, exponential growth with full jitter, and what is refused."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobpipe.policy.retry import ExponentialDelays, ListDelays, RetryDelays, delay_us, parse_delays


def highest(ceiling: float) -> float:
    """The luck that always draws the largest number."""
    return ceiling


@pytest.mark.parametrize(
    "value,expected",
    [
        ("1,5,30,120", ListDelays((1.0, 5.0, 30.0, 120.0))),
        (" 1 , 0.5 ", ListDelays((1.0, 0.5))),
        ("0", ListDelays((0.0,))),
        ((1, 5.5), ListDelays((1.0, 5.5))),
        ([2], ListDelays((2.0,))),
        ("exponential:1:600", ExponentialDelays(1.0, 600.0)),
        ("Exponential : 0.5 : 3", ExponentialDelays(0.5, 3.0)),
    ],
)
def test_delays_are_read(value: str | Sequence[object], expected: RetryDelays) -> None:
    assert parse_delays(value) == expected


@pytest.mark.parametrize(
    "value,reason",
    [
        ("", "delay '' is not a plain number"),
        ("1,,2", "delay '' is not a plain number"),
        ("soon", "delay 'soon' is not a plain number"),
        ("1,-5", "delay '-5' is not a plain number"),
        ("nan", "delay 'nan' is not a plain number"),
        ([], "1 to 1000 entries"),
        ([1] * 1001, "1 to 1000 entries"),
        ([True], "delay True is not a number"),
        ([None], "delay None is not a number"),
        ([-1], "delay -1 is negative"),
        ([float("nan")], "delay nan is not a finite number"),
        ([float("inf")], "delay inf is not a finite number"),
        ("31622401", "longer than a year"),
        ([10**400], "longer than a year"),
        ("exponential", "delay '' is not a plain number"),
        ("exponential:1", "delay '' is not a plain number"),
        ("exponential:1:2:3", "delay '2:3' is not a plain number"),
        ("exponential:0:5", "base of exponential delays must be above 0"),
        ("exponential:10:5", "cap of exponential delays is below their base"),
        ("linear:1:5", "delay 'linear:1:5' is not a plain number"),
    ],
)
def test_what_is_no_delays_is_refused(value: str | Sequence[object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_delays(value)


@pytest.mark.parametrize(
    "attempt,expected", [(1, 1_000_000), (2, 5_500_000), (3, 30_000_000), (10_000, 30_000_000)]
)
def test_a_list_is_followed_and_its_last_entry_repeats(attempt: int, expected: int) -> None:
    assert delay_us(ListDelays((1.0, 5.5, 30.0)), attempt, highest) == expected


@pytest.mark.parametrize(
    "attempt,expected",
    [(1, 1_000_000), (2, 2_000_000), (4, 8_000_000), (10, 512_000_000), (11, 600_000_000),
     (1_024, 600_000_000), (10_000, 600_000_000)],
)  # fmt: skip
def test_an_exponential_ceiling_doubles_up_to_the_cap(attempt: int, expected: int) -> None:
    assert delay_us(ExponentialDelays(1.0, 600.0), attempt, highest) == expected


@given(st.integers(1, 10_000), st.integers())
def test_jitter_stays_between_nothing_and_the_ceiling(attempt: int, seed: int) -> None:
    luck = random.Random(seed)
    delay = delay_us(ExponentialDelays(0.5, 60.0), attempt, lambda top: luck.uniform(0.0, top))
    assert 0 <= delay <= min(60_000_000, 500_000 * 2 ** (attempt - 1))


def test_the_luck_of_a_list_is_never_asked() -> None:
    def never(ceiling: float) -> float:
        raise AssertionError("a list has no jitter")

    assert delay_us(ListDelays((3.0,)), 1, never) == 3_000_000


@pytest.mark.parametrize("delays", [ListDelays((1.0,)), ExponentialDelays(1.0, 2.0)])
def test_attempts_count_from_one(delays: RetryDelays) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        delay_us(delays, 0, highest)


@pytest.mark.parametrize("text", ["1,5,30", "0.1,0", "exponential:1:600", "exponential:0.25:3.5"])
def test_delays_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_delays(text)) == text
