"""Histories written by hand, for the tests of the checker."""

from __future__ import annotations

from typing import Any

from tests.process.contents import AttemptRow, Contents, JobRow
from tests.process.ledger import Entry, What

PRODUCER, WORKER, OTHER = 1, 2, 3


def story(*lines: tuple[What, int, dict[str, Any]]) -> list[Entry]:
    """Write one line a moment, in the order given; each line: what, which process, the rest."""
    return [
        Entry(what=what, at=at * 1_000_000_000, pid=pid, **fields)
        for at, (what, pid, fields) in enumerate(lines, start=1)
    ]


def asked(op: str = "a", **fields: Any) -> tuple[What, int, dict[str, Any]]:
    return "invoke", PRODUCER, {"op": op, **fields}


def answered(op: str = "a", job: int = 1) -> tuple[What, int, dict[str, Any]]:
    return "ok", PRODUCER, {"op": op, "job": job}


def refused(op: str = "a") -> tuple[What, int, dict[str, Any]]:
    return "fail", PRODUCER, {"op": op}


def unanswered(op: str = "a") -> tuple[What, int, dict[str, Any]]:
    return "unknown", PRODUCER, {"op": op}


def begun(
    op: str = "a", *, job: int = 1, token: int = 1, pid: int = WORKER
) -> tuple[What, int, dict[str, Any]]:
    return "start", pid, {"op": op, "job": job, "token": token}


def ended(
    how: str = "returned", *, op: str = "a", job: int = 1, token: int = 1, pid: int = WORKER
) -> tuple[What, int, dict[str, Any]]:
    return "end", pid, {"op": op, "job": job, "token": token, "how": how}


def harmed(whom: int | None = WORKER) -> tuple[What, int, dict[str, Any]]:
    return "fault", 0, {"how": "SIGKILL", "whom": whom}


def healed(whom: int | None = WORKER) -> tuple[What, int, dict[str, Any]]:
    return "over", 0, {"whom": whom}


def job(id: int = 1, op: str = "a", state: str = "succeeded", **fields: Any) -> JobRow:
    token = fields.pop("token", 1)
    result = fields.pop("result_token", token if state == "succeeded" else None)
    return JobRow(id=id, op=op, state=state, token=token, result_token=result, **fields)


def attempt(outcome: str, token: int = 1, job: int = 1, ended: int | None = None) -> AttemptRow:
    """Return an attempt that was recorded; ``ended``: at which line of the story, and a half."""
    at = None if ended is None else ended * 1_000_000_000 + 500_000_000
    return AttemptRow(job=job, token=token, outcome=outcome, ended=at)


def store(*jobs: JobRow, attempts: tuple[AttemptRow, ...] = (), **tally: int) -> Contents:
    """Return contents whose counters are right unless they are given."""
    kept = {("default", state): n for state, n in tally.items()}
    if not tally:
        for row in jobs:
            if row.state in ("succeeded", "failed", "cancelled"):
                kept["default", row.state] = kept.get(("default", row.state), 0) + 1
    return Contents(jobs=list(jobs), attempts=list(attempts), tally=kept)
