"""The life of a job: its states, the reasons for them, and every legal step between them.

``EDGES`` is the one table of this. The databases refuse every other step through a trigger whose
text is made from it, the property tests use it as their oracle, and the picture in the docs is
drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a job stands."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    PARKED = "parked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Why a job stands there, for the states that need a reason."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    FATAL = "fatal"
    TIMED_OUT = "timed_out"
    EXPIRED = "expired"
    LOST = "lost"
    UNSTORABLE = "unstorable"
    BY_USER = "by_user"
    BY_DEPLOY = "by_deploy"
    BY_FLOW = "by_flow"
    UNKNOWN_TASK = "unknown_task"
    INCOMPATIBLE = "incompatible"
    UNDECODABLE = "undecodable"


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
WAITING = frozenset({State.BLOCKED, State.SCHEDULED, State.QUEUED, State.RETRYING})
INITIAL = frozenset({State.BLOCKED, State.SCHEDULED, State.QUEUED})
SHELVED = frozenset({State.BLOCKED, State.PARKED, State.FAILED, State.CANCELLED})
"""States whose jobs are found by the partial index on ``shelf``."""

REASONS: Mapping[State, frozenset[Reason]] = {
    State.FAILED: frozenset(
        {
            Reason.ATTEMPTS_EXHAUSTED,
            Reason.FATAL,
            Reason.TIMED_OUT,
            Reason.EXPIRED,
            Reason.LOST,
            Reason.UNSTORABLE,
        }
    ),
    State.CANCELLED: frozenset({Reason.BY_USER, Reason.BY_DEPLOY, Reason.BY_FLOW}),
    State.PARKED: frozenset({Reason.UNKNOWN_TASK, Reason.INCOMPATIBLE, Reason.UNDECODABLE}),
}

EDGES: Mapping[State, frozenset[State]] = {
    State.BLOCKED: frozenset({State.SCHEDULED, State.QUEUED, State.FAILED, State.CANCELLED}),
    State.SCHEDULED: frozenset({State.BLOCKED, State.QUEUED, State.FAILED, State.CANCELLED}),
    State.QUEUED: frozenset(
        {State.BLOCKED, State.RUNNING, State.SCHEDULED, State.FAILED, State.CANCELLED}
    ),
    State.RUNNING: frozenset(
        {
            State.BLOCKED,
            State.QUEUED,
            State.SCHEDULED,
            State.RETRYING,
            State.PARKED,
            State.SUCCEEDED,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    State.RETRYING: frozenset(
        {State.BLOCKED, State.QUEUED, State.SCHEDULED, State.FAILED, State.CANCELLED}
    ),
    State.PARKED: frozenset({State.BLOCKED, State.QUEUED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""Legal steps. A final state is left only by a re-run (``RERUN``), which the row counts."""

RERUN = frozenset({State.QUEUED, State.SCHEDULED, State.BLOCKED})
"""Where an explicit, recorded re-run of a final job may lead."""


def may(before: State, after: State, *, rerun: bool = False) -> bool:
    """Tell whether a job may step from ``before`` to ``after``."""
    return after in EDGES[before] or (rerun and before in FINAL and after in RERUN)


def refusal_condition(*, spelled_out: bool = False) -> str:
    """Return the SQL condition under which an update is refused (old and new rows as OLD, NEW).

    It is an expression over constants, so a database judges it without a look-up. ``spelled_out``
    writes each IN as a chain of comparisons, which is ten times cheaper where a set would be built
    anew for every row (SQLite).
    """
    one_of = _spelled_out if spelled_out else _in
    steps = " OR ".join(
        f"(OLD.state = '{before}' AND {one_of('NEW.state', after)})"
        for before, after in EDGES.items()
        if after
    )
    rerun = (
        f"({one_of('OLD.state', FINAL)} AND {one_of('NEW.state', RERUN)}"
        " AND NEW.reruns = OLD.reruns + 1)"
    )
    return f"OLD.state <> NEW.state AND NOT ({steps} OR {rerun})"


def _in(column: str, states: frozenset[State]) -> str:
    return f"{column} IN ({', '.join(_quoted(states))})"


def _spelled_out(column: str, states: frozenset[State]) -> str:
    return f"({' OR '.join(f'{column} = {state}' for state in _quoted(states))})"


def _quoted(states: frozenset[State]) -> list[str]:
    return [f"'{state}'" for state in State if state in states]
