"""What people and programs are shown of a job's log: the same in every front."""

from __future__ import annotations

import logging
from typing import Any

from msgspec import Struct

from jobpipe.app.views import plain, time_text
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
