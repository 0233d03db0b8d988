"""What options of the command line take: a span, a moment, the id of a job."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from jobpipe.cli import times
from jobpipe.telemetry.escape import escape


def span(text: str) -> timedelta:
    """Read a span of time: ``10m``, ``1h30m``, ``2.5`` seconds."""
    try:
        return times.read_span(text)
    except ValueError as error:
        raise click.BadParameter(f"{escape(text)!r}: {error}") from None


def moment(text: str) -> datetime:
    """Read a moment in ISO 8601 with its zone."""
    try:
        return times.read_moment(text)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{escape(text)!r}: {error}") from None


def queue_name(text: str) -> str:
    """Read the name of a queue."""
    from jobpipe.tasks.spec import QUEUE_ALLOWED, is_queue

    if is_queue(text):
        return text
    raise click.BadParameter(f"{escape(text)!r} names no queue; allowed: {QUEUE_ALLOWED}.")


def job_id(text: str) -> int:
    """Read the id of a job."""
    if text.isascii() and text.isdecimal() and 0 < int(text[:20]) < 2**63:
        return int(text)
    raise click.BadParameter(f"{escape(text)!r} is no id of a job: a whole number from 1 on.")
