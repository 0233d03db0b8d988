"""What starts, noted as seconds of one clock, come to."""

from __future__ import annotations

from collections.abc import Sequence


def most_within(times: Sequence[float], seconds: float) -> int:
    """Return the most times, which rise, that any window of so many seconds holds.

    Its end belongs to the next window.
    """
    most = first = 0
    for number, at in enumerate(times):
        while times[first] <= at - seconds:
            first += 1
        most = max(most, number + 1 - first)
    return most


def between(times: Sequence[float], begin: float, seconds: float) -> int:
    """Return how many times are in a window."""
    return sum(begin <= at < begin + seconds for at in times)


def each_second(times: Sequence[float], begin: float, seconds: float) -> list[int]:
    """Return how many times are in each whole second from a moment on."""
    return [between(times, begin + number, 1.0) for number in range(int(seconds))]


def tenths(times: Sequence[float]) -> list[float]:
    """Return the rate of each tenth; the first time is when the first of them began."""
    tenth = (len(times) - 1) // 10
    return [tenth / (times[(n + 1) * tenth] - times[n * tenth]) for n in range(10)]
