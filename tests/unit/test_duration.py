"""Spans of time: what people may write, what it comes to, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobpipe.policy.duration import MAX_SPAN_US, format_number, format_span, parse_span


@pytest.mark.parametrize(
    "text,expected",
    [
        ("10m", 600_000_000),
        ("1h30m", 5_400_000_000),
        ("7d", 604_800_000_000),
        ("2w", 1_209_600_000_000),
        ("1.5h", 5_400_000_000),
        ("1w2d3h4m5.5s", 788_645_500_000),
        (" 30s ", 30_000_000),
        ("2.5", 2_500_000),
        ("0.1", 100_000),
        ("0", 0),
        ("0d", 0),
        (2, 2_000_000),
        (0.25, 250_000),
        ("100w", 60_480_000_000_000),
    ],
)
def test_a_span_is_read(text: object, expected: int) -> None:
    assert parse_span(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "m", "10 m", "1m1h", "1h30", "10M", "-1", "-1m", "+1", "1e3", "nan", "inf", "1_0",
        "٣s", ".5", "1..5", "5y", "1d1d", None, True, [], float("nan"), float("inf"), -1, -0.5,
    ],
)  # fmt: skip
def test_what_is_no_span_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a span is seconds"):
        parse_span(value)


@pytest.mark.parametrize("value", ["36501d", "99999999999999w", "999999999999999", 10**30, 1e300])
def test_an_endless_span_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="longer than a hundred years"):
        parse_span(value)


@pytest.mark.parametrize(
    "span_us,text",
    [
        (0, "0"),
        (604_800_000_000, "7d"),
        (5_400_000_000, "1h30m"),
        (2_500_000, "2.5s"),
        (10_000_000, "10s"),
        (1, "0.000001s"),
        (86_400_000_000 + 60_000_000, "1d1m"),
    ],
)
def test_a_span_is_written_in_the_largest_units(span_us: int, text: str) -> None:
    assert format_span(span_us) == text


@given(st.integers(0, MAX_SPAN_US))
def test_a_written_span_is_read_back(span_us: int) -> None:
    assert parse_span(format_span(span_us)) == span_us


@pytest.mark.parametrize(
    "number,text", [(1.0, "1"), (0.1, "0.1"), (31_536_000.0, "31536000"), (1e-7, "0.0000001")]
)
def test_a_number_is_written_plainly(number: float, text: str) -> None:
    assert format_number(number) == text
