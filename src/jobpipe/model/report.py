"""What a running job says: lines of its log, how far it is, and a state that the next attempt sees.

Everything is guarded by (job id, token); ``at_ns`` is the monotonic clock when it was said, which
the store turns into an age.
"""

from __future__ import annotations

from msgspec import Struct


class LogLine(Struct, frozen=True):
    """One line of an attempt's log."""

    job_id: int
    token: int
    number: int
    """Counts the lines of the attempt, from 1."""
    at_ns: int
    level: int
    """As in ``logging``: 10 debug, 20 info, 30 warning, 40 error, 50 critical."""
    logger: str
    message: str
    fields: str | None = None
    """JSON object of what was said beside the message."""


class Progress(Struct, frozen=True):
    """How far an attempt is: ``done`` of ``total`` (None: unknown), and a note for people."""

    job_id: int
    token: int
    done: float
    total: float | None = None
    note: str | None = None


class Checkpoint(Struct, frozen=True):
    """A JSON text that later attempts of the job find in ``job.state``."""

    job_id: int
    token: int
    state: str
