"""What people and programs are shown of a job's log: the same in every front."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from jobpipe.app.views import PageView, attempt_views, plain, time_text
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.report import LogRecord


class LogView(Struct, frozen=True, kw_only=True):
    """A line of a job's log."""

    job_id: int
    attempt: int | None
    """Number of the attempt; None when it is not known (it was given back, or is being lost)."""
    token: int
    number: int
    """Counts the lines of the attempt."""
    time: str | None
    level: str
    logger: str
    message: str
    fields: Any
    """An object of what was said beside the message, or None; ``error`` is an exception."""


def log_page(
    job: JobRecord, history: Sequence[AttemptRecord], lines: Sequence[LogRecord], limit: int
) -> PageView[LogView]:
    """Show a page of a job's log of at most ``limit`` lines, each with its attempt."""
    numbers = {run.token: run.number for run in attempt_views(job, history)}
    is_full = len(lines) == limit
    return PageView(
        items=[log_view(job.id, numbers.get(line.token), line) for line in lines],
        next_cursor=f"{lines[-1].token}:{lines[-1].number}" if is_full else None,
    )


def log_view(job_id: int, attempt: int | None, record: LogRecord) -> LogView:
    """Show a line."""
    return LogView(
        job_id=job_id,
        attempt=attempt,
        token=record.token,
        number=record.number,
        time=time_text(record.at),
        level=logging.getLevelName(record.level).lower(),
        logger=record.logger,
        message=record.message,
        fields=plain(record.fields),
    )
