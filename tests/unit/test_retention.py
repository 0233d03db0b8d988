"""Retention: how long each final state is kept, from text and from tables."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from jobpipe.policy.retention import Retention, parse_retention

DAY = 86_400_000_000


@pytest.mark.parametrize(
    "value,expected",
    [
        ("succeeded=7d,cancelled=7d,failed=90d", Retention(7 * DAY, 7 * DAY, 90 * DAY)),
        ("failed=never", Retention(7 * DAY, 7 * DAY, None)),
        (" succeeded = 0 , failed = 1w ", Retention(0, 7 * DAY, 7 * DAY)),
        ("succeeded=3600", Retention(3_600_000_000, 7 * DAY, 90 * DAY)),
        ({"succeeded": "1d"}, Retention(DAY, 7 * DAY, 90 * DAY)),
        ({"cancelled": 60, "failed": "Never"}, Retention(7 * DAY, 60_000_000, None)),
    ],
)
def test_retention_is_read(value: str | Mapping[str, object], expected: Retention) -> None:
    assert parse_retention(value) == expected


@pytest.mark.parametrize(
    "value,reason",
    [
        ("", "'' is no `state=span` pair"),
        ("7d", "'7d' is no `state=span` pair"),
        ("running=7d", "'running' is no final state"),
        ("failed=1d,failed=2d", "'failed' stands there twice"),
        ("failed=soon", "the span of 'failed' is not a plain number"),
        ("failed=-1d", "the span of 'failed' is not a plain number"),
        ("failed=1000w1000000d", "the span of 'failed' is longer than a hundred years"),
        ({"failed": None}, "the span of 'failed' is not a number"),
        ({"failed": float("inf")}, "the span of 'failed' is not a finite number"),
        ({}, "no state is named"),
    ],
)
def test_what_is_no_retention_is_refused(value: str | Mapping[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_retention(value)


@pytest.mark.parametrize(
    "text",
    ["succeeded=7d,cancelled=7d,failed=90d", "succeeded=0,cancelled=1h30m,failed=never"],
)
def test_retention_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_retention(text)) == text
