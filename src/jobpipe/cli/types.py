"""What options of the command line take: a span, a moment, the id of a job."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import times
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


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


NONE = "none"
"""On the command line, that there shall be no limit."""


def count_or_none(text: str) -> int | str:
    """Read a whole number, or ``none``."""
    if text == NONE:
        return NONE
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(text)
    raise click.BadParameter(f"{escape(text)!r} is neither a whole number nor `none`")


class QueueName(click.ParamType[str]):
    """The name of a queue."""

    name = "queue"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; a wrong one is told what is allowed."""
        from jobpipe.tasks.spec import QUEUE_ALLOWED, is_queue

        if is_queue(value):
            return str(value)
        allowed = f"{escape(value)!r} names no queue; allowed: {QUEUE_ALLOWED}."
        raise click.BadParameter(allowed, ctx, param)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Offer the queues that are known."""
        from jobpipe.cli import completing

        return completing.queues(ctx, param, incomplete)


class JobId(click.ParamType[int]):
    """The id of a job."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the id as a number."""
        if isinstance(value, int):
            return value
        if value.isascii() and value.isdecimal() and 0 < int(value[:20]) < 2**63:
            return int(value)
        wanted = f"{escape(value)!r} is no id: a whole number from 1 on."
        raise click.BadParameter(wanted, ctx, param)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Offer the newest jobs."""
        from jobpipe.cli import completing

        return completing.jobs(ctx, param, incomplete)


queue_name = QueueName()
job_id = JobId()
