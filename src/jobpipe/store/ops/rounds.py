"""One round of admission at a time: who does it, and who waits until nobody does.

PostgreSQL locks a row for that until the end of the transaction; on SQLite whoever writes is alone.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from jobpipe.store.ops.look import look_at
from jobpipe.store.port import Op, Statement

AWAIT_MS = 15_000
"""Longest wait for the round that is under way; then StoreUnavailable. A process that stands still
in its round is cut off before."""


class Agenda(Struct, frozen=True):
    """What there was to do as the round began, beside what is noted; found by one statement, so
    that most rounds need not ask for each of it."""

    oldest: int
    """Transactions with a lower number had ended."""
    own: int
    """Transactions with a higher number had written nothing."""
    has_pauses: bool
    """A task is or was paused."""
    has_arrivals: bool
    has_late_flows: bool
    gate_in_us: int | None
    """When the time of a gate comes that may open by itself; 0 or less: it has come."""


def begin_round() -> Op[Agenda | None]:
    """Lock the others out; None, at once: somebody else has the lock."""
    found = yield Statement("hold_admission")
    if not found:
        return None
    row = found[0]
    return Agenda(
        row["oldest"],
        row["own"],
        bool(row["has_pauses"]),
        bool(row["has_arrivals"]),
        bool(row["has_late_flows"]),
        row["gate_in_us"],
    )


def await_round() -> Op[None]:
    """Lock the others out after the round that is under way."""
    yield Statement("await_admission", {"await_ms": AWAIT_MS})


def await_round_of(ids: Collection[int]) -> Op[None]:
    """Wait like ``await_round`` if a round may write to any of these jobs.

    Who wants to lock them, and to keep rounds away, does this first: a round that is under way may
    wait for what is locked.
    """
    if any(job.marks for job in (yield from look_at(ids))):
        yield from await_round()
