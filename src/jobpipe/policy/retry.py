"""How long a failed job waits before its next attempt.

Attempts count from 1: ``delay_us(delays, 1, ...)`` is the wait after the first attempt failed.
Chance comes in from outside, so equal inputs give equal answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobpipe.policy.duration import SECOND_US, format_number, parse_number

MAX_DELAY_SECONDS = 366 * 86_400
MAX_DELAYS = 1_000
DELAYS_ALLOWED = (
    "seconds in a list (`1,5,30,120`; the last repeats) or `exponential:base:cap` (full jitter)"
)
_LARGEST_EXPONENT = 1_000
"""Doubling further would leave the range of floats; every cap is reached long before."""


@dataclass(frozen=True, slots=True)
class ListDelays:
    """Attempt n waits the n-th number of seconds; the last one repeats."""

    seconds: tuple[float, ...]

    def __str__(self) -> str:
        return ",".join(format_number(seconds) for seconds in self.seconds)


@dataclass(frozen=True, slots=True)
class ExponentialDelays:
    """Attempt n waits a random time up to ``base * 2**(n-1)`` seconds, at most ``cap``."""

    base: float
    cap: float

    def __str__(self) -> str:
        return f"exponential:{format_number(self.base)}:{format_number(self.cap)}"


RetryDelays = ListDelays | ExponentialDelays


def parse_delays(value: str | Sequence[object]) -> RetryDelays:
    """The delays in a text or in a sequence of seconds; ``ValueError`` says what is wrong."""
    if isinstance(value, str):
        kind, colon, rest = value.strip().partition(":")
        if kind.strip().lower() == "exponential":
            return _parse_exponential(rest if colon else "")
        entries: Sequence[object] = value.split(",")
    else:
        entries = value
    if not 1 <= len(entries) <= MAX_DELAYS:
        raise ValueError(f"a list of delays has 1 to {MAX_DELAYS} entries")
    return ListDelays(tuple(_parse_delay(entry) for entry in entries))


def delay_us(delays: RetryDelays, attempt: int, uniform: Callable[[float], float]) -> int:
    """Microseconds to wait after this attempt; ``uniform(x)`` draws a number from 0 to x."""
    if attempt < 1:
        raise ValueError(f"attempts count from 1, not {attempt}")
    if isinstance(delays, ListDelays):
        seconds = delays.seconds[min(attempt, len(delays.seconds)) - 1]
    else:
        doubled = delays.base * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT)
        seconds = uniform(min(delays.cap, doubled))
    return round(seconds * SECOND_US)


def _parse_exponential(text: str) -> ExponentialDelays:
    base_text, _, cap_text = text.partition(":")
    base, cap = _parse_delay(base_text), _parse_delay(cap_text)
    if base == 0:
        raise ValueError("the base of exponential delays must be above 0")
    if cap < base:
        raise ValueError("the cap of exponential delays is below their base")
    return ExponentialDelays(base, cap)


def _parse_delay(value: object) -> float:
    try:
        seconds = float(parse_number(value))
    except ValueError as error:
        raise ValueError(f"delay {value!r} is {error}") from None
    if seconds > MAX_DELAY_SECONDS:
        raise ValueError(f"delay {value!r} is longer than a year")
    return seconds
