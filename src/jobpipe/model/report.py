"""What a job says while it runs: lines of its log, how far it is, a state for its next attempt.

All of it belongs to one attempt, named by (job id, token): the store refuses it once that attempt
is over. Texts must be storable (no NUL, no lone surrogate); ``fields`` and ``state`` are JSON
texts.
"""

from __future__ import annotations

from msgspec import Struct


class LogLine(Struct, frozen=True):
    """One line of a job's log, as it was caught."""

    job_id: int
    token: int
    number: int
    """Counts the lines of the attempt, from 1: their order, and what tells a repeated write."""
    at_ns: int
    """Monotonic clock of the worker at that moment; becomes the age of the line."""
    level: int
    """As in ``logging``: 10 debug, 20 info, 30 warning, 40 error, 50 critical."""
    logger: str
    message: str
    fields: str | None = None
    """JSON object of what was said beside the message."""


class Progress(Struct, frozen=True):
    """How far an attempt is: ``done`` of ``total`` (None: unknown), and a note for people.

    The numbers are finite.
    """

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


class LogRecord(Struct, frozen=True, kw_only=True):
    """A line of a job's log, as it stands in the store."""

    token: int
    """The claim of the attempt that said it: lines are ordered by (token, number)."""
    number: int
    at: int
    level: int
    logger: str
    message: str
    fields: str | None


class ProgressRecord(Struct, frozen=True, kw_only=True):
    """How far a job was when it last said so."""

    done: float
    total: float | None
    note: str | None
    at: int
