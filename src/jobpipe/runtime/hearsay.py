"""What programs elsewhere say about their running jobs, made fit to be stored as our own words."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from jobpipe.errors import InvalidArguments
from jobpipe.model.report import LogLine, Progress
from jobpipe.runtime.job_log import as_fields
from jobpipe.runtime.speech import NOTE_MAX, cut
from jobpipe.telemetry.record import mask_secrets, shortened, storable


def line(
    key: tuple[int, int],
    level: str,
    logger: str,
    message: str,
    fields: Mapping[str, Any],
    age_us: int,
) -> LogLine:
    """Return a line for a job's log, said so long ago; it has no number yet."""
    return LogLine(
        job_id=key[0],
        token=key[1],
        number=0,
        at_ns=time.monotonic_ns() - max(0, age_us) * 1_000,
        level=level_number(level),
        logger=storable(logger),
        message=cut(storable(mask_secrets(message))),
        fields=as_fields(fields) if fields else None,
    )


def level_number(level: str) -> int:
    """Return the number that stands for a level (``info``: 20)."""
    number: int = getattr(logging, level.upper())
    return number


def progress(key: tuple[int, int], done: float, total: float | None, note: str | None) -> Progress:
    """Return how far a job is; raises InvalidArguments for a number that is not finite."""
    if not all(math.isfinite(number) for number in (done, total or 0)):
        raise InvalidArguments(
            "a progress has finite numbers", help="Send numbers that are finite."
        )
    if note is not None:
        note = storable(mask_secrets(shortened(note, NOTE_MAX)))
    return Progress(*key, done, total, note)
