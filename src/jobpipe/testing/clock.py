"""The store's time, as a test wants it to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobpipe.app.requests import moment
from jobpipe.clock import wall_clock
from jobpipe.tasks.options import refusal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class VirtualClock:
    """Stands still until it is moved: what is due never depends on how fast a test runs.

    Delays, retries, expiry, rates and leases follow it; the clock of the machine, which the code of
    tasks asks, does not.
    """

    def __init__(self) -> None:
        self.micros = wall_clock()
        """Microseconds since 1970 in UTC."""

    def __call__(self) -> int:
        """Return the time as stores ask for it."""
        return self.micros

    def now(self) -> datetime:
        """Return the time; aware, in UTC."""
        return _EPOCH + self.micros * _MICROSECOND

    def advance(self, by: timedelta) -> None:
        """Move the time on by so much; raises InvalidArguments for what is no timedelta."""
        if not isinstance(by, timedelta):
            raise refusal("by", by, "a timedelta")
        self.micros += by // _MICROSECOND

    def set(self, at: datetime) -> None:
        """Move to that time, aware; raises InvalidArguments for one that is not."""
        self.micros = moment("at", at) or 0
