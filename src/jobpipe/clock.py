"""The only module that asks the time of day; everything else is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], int]
"""Returns microseconds since 1970 in UTC."""


def wall_clock() -> int:
    """Return the machine's time of day in microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000
