"""Moments as people write them: a day, or a time of a day, in UTC unless they say otherwise."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from jobpipe.policy.duration import UNITS_US

MOMENT_ALLOWED = "a day (`2026-01-31`) or a time (`2026-01-31T09:00:00Z`; without a zone: UTC)"

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str) -> tuple[int, int]:
    """Return the first and the last microsecond since 1970 that is meant: a day has many.

    Raises ValueError.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        start = (moment - _EPOCH) // timedelta(microseconds=1)
    except OverflowError:
        raise ValueError("beyond all times") from None
    return start, start + (UNITS_US["d"] - 1 if _DAY.fullmatch(text) else 0)
