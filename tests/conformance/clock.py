"""The machine's time of day, moved by hand."""

from __future__ import annotations

from jobpipe.clock import wall_clock

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND


class MovedClock:
    """A clock for stores and applications that a test moves."""

    def __init__(self) -> None:
        self.shift_us = 0

    def __call__(self) -> int:
        return wall_clock() + self.shift_us

    def shift(self) -> int:
        return self.shift_us

    def advance(self, span_us: int) -> None:
        self.shift_us += span_us
