"""How long a job keeps others with its key away, and what they hear."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Scope(StrEnum):
    """How long a job holds its key."""

    WAITING = "waiting"
    """Until it is claimed for the first time, or ends without that."""
    LIVE = "live"
    """Until it is final."""
    SECONDS = "seconds"
    """For a time from its enqueue on, whatever becomes of it."""


class Clash(StrEnum):
    """What becomes of a request whose key another job holds."""

    RETURN = "return"
    """It comes to that job."""
    REPLACE = "replace"
    """That job gets the request's arguments and time."""
    REFUSE = "refuse"
    """It is refused."""


class Uniqueness(Struct, frozen=True, kw_only=True, gc=False):
    """What a request says of its unique key; a timed scope has its span in microseconds."""

    scope: Scope = Scope.WAITING
    answer: Clash = Clash.RETURN
    for_us: int | None = None
