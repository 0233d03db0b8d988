"""What a task raises to say how its attempt shall end."""

from __future__ import annotations

from datetime import timedelta


class Signal(Exception):
    """A task's own word on its attempt."""


class Retry(Signal):
    """Fail this attempt and try again, ``after`` seconds from now (None: the task's delays).

    The attempt is charged; when it was the last one, the job fails. With ``slow_key`` no other job
    of its rates' keys starts for as long: what is asked too often is left alone.
    """

    def __init__(
        self,
        message: str = "",
        *,
        after: float | timedelta | None = None,
        slow_key: bool = False,
    ) -> None:
        super().__init__(message or "the task asked for a retry")
        self.after_us = None if after is None else span_us(after)
        self.slow_key = slow_key


class Snooze(Signal):
    """Put the job off for ``after`` seconds; no attempt is charged."""

    def __init__(self, after: float | timedelta, message: str = "") -> None:
        super().__init__(message or "the task put itself off")
        self.after_us = span_us(after)


class Cancel(Signal):
    """Cancel the job from inside: it ends ``cancelled``."""


class Fail(Signal):
    """Fail the job for good: no retry, whatever attempts are left."""


def span_us(span: float | timedelta) -> int:
    """Return the span (seconds or timedelta, not negative) in whole microseconds.

    Raises ValueError for a negative or not finite span.
    """
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if not 0 <= seconds < 1e11:
        raise ValueError(f"a wait of {span!r} is out of range; allowed: 0 to 1e11 seconds")
    return round(seconds * 1_000_000)
