"""What both raw floors have in common: the jobs they store, and the outcomes they write."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobpipe import Jobpipe
from jobpipe.model.job import Claimed, Finish, Lane
from jobpipe.model.state import FINAL, State

LANE = Lane("default", 0)
COLUMNS = (
    *("id", "rank", "task", "queue", "priority", "args", "max_attempts", "max_losses"),
    *("created_at", "queued_at", "state"),
)
"""What is written of a plain job."""


def args(n: int) -> str:
    return f"[[{n}],{{}}]"


def row(id: int, n: int, now: int) -> tuple[object, ...]:
    """Return the values of ``COLUMNS``."""
    return (id, id, "noop", LANE.queue, LANE.priority, args(n), 5, 3, now, now, "queued")


def successes(jobs: Sequence[Claimed]) -> list[Finish]:
    ended_ns = time.monotonic_ns()
    return [
        Finish(
            id=job.id,
            token=job.token,
            state=State.SUCCEEDED,
            outcome="succeeded",
            ended_at_ns=ended_ns,
        )
        for job in jobs
    ]


def left(url: str) -> dict[str, int]:
    counts = Jobpipe(url).counts()
    return {"left": sum(n for state, n in counts.items() if State(state) not in FINAL)}
