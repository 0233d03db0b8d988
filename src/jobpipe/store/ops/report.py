"""Write what running jobs say, many jobs in one statement, and read their logs.

Every write is guarded by its token and answers with the (job id, token) pairs that were accepted:
what is missing has lost its lease. Writing the same again is accepted and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobpipe.errors import JobNotFound
from jobpipe.model.report import Checkpoint, LogLine, LogRecord, Progress
from jobpipe.store import rows
from jobpipe.store.port import Batch, Mode, Op, Rows, Statement, operation

LINE_COLUMNS = ("job_id", "token", "number", "age_us", "level", "logger", "message", "fields")
PROGRESS_COLUMNS = ("job_id", "token", "done", "total", "note")
CHECKPOINT_COLUMNS = ("job_id", "token", "state")

MAX_LEVEL = 2**15 - 1
"""Highest level that is kept; programs may name any number as a level."""

LAST_TOKEN = 2**62

Accepted = set[tuple[int, int]]
"""(job id, token) of the attempts that may still write."""


@operation(Mode.ONE)
def write_lines(lines: Sequence[LogLine], now_ns: int) -> Op[Accepted]:
    """Add lines to the logs of their jobs.

    ``now_ns`` is the monotonic clock that ``at_ns`` was read from.
    """
    batch = [
        (
            line.job_id,
            line.token,
            line.number,
            max(0, (now_ns - line.at_ns) // 1000),
            min(max(0, line.level), MAX_LEVEL),
            line.logger,
            line.message,
            line.fields,
        )
        for line in lines
    ]
    return _accepted((yield Statement("write_lines", batch=Batch(LINE_COLUMNS, batch))))


@operation(Mode.ONE)
def write_progress(progresses: Sequence[Progress]) -> Op[Accepted]:
    """Note how far the jobs are; at most one word a job."""
    batch = [
        (said.job_id, said.token, said.done, said.total, said.note)
        for said in sorted(progresses, key=lambda said: said.job_id)
    ]
    return _accepted((yield Statement("write_progress", batch=Batch(PROGRESS_COLUMNS, batch))))


@operation(Mode.ONE)
def save_checkpoints(checkpoints: Sequence[Checkpoint]) -> Op[Accepted]:
    """Keep the jobs' states for their next attempts; at most one a job.

    Each is strictly before or after the next claim of its job.
    """
    batch = [
        (saved.job_id, saved.token, saved.state)
        for saved in sorted(checkpoints, key=lambda saved: saved.job_id)
    ]
    return _accepted((yield Statement("save_checkpoints", batch=Batch(CHECKPOINT_COLUMNS, batch))))


@operation(Mode.READ)
def read_log(
    job_id: int, after: tuple[int, int] = (0, 0), limit: int = 1000, token: int | None = None
) -> Op[list[LogRecord]]:
    """Return up to ``limit`` lines beyond (token, number) ``after``, in order.

    ``token`` asks for the lines of one attempt. Raises JobNotFound.
    """
    from_token, from_number = after if token is None else max(after, (token, 0))
    params = {
        "job_id": job_id,
        "from_token": from_token,
        "from_number": from_number,
        "last_token": LAST_TOKEN if token is None else token,
        "limit": limit,
    }
    found = yield Statement("read_log", params)
    if not found and not (yield Statement("outcome", {"id": job_id})):
        raise JobNotFound(f"there is no job {job_id}")
    return [rows.log_record(row) for row in found]


def _accepted(found: Rows) -> Accepted:
    return {(row["job_id"], row["token"]) for row in found}
