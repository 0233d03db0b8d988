"""``jobpipe job move``: jobs that wait, by ids or by a filter, to another queue or time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from jobpipe.cli import completing
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.types import job_id, moment, span
from jobpipe.cli.verbs.job_many import by_filter, carry_out, check_named
from jobpipe.cli.verbs.job_steer import steer

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe

F = TypeVar("F", bound=Callable[..., Any])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(TypedDict):
    """Where jobs are to go; what is None stays."""

    queue_name: str | None
    priority: int | None
    run_at: datetime | None


def place_options(function: F) -> F:
    """Give a verb the options that say where a job is to go."""
    for option in (
        click.option("--at", type=moment, metavar="TIME", help="Not before this time."),
        click.option("--in", "delay", type=span, metavar="SPAN", help="Not before 10m from now."),
        click.option("--priority", type=int, metavar="N", help="From -100 to 100, higher first."),
        click.option(
            "-q",
            "--queue",
            metavar="QUEUE",
            help="Another queue.",
            shell_complete=completing.queues,
        ),
    ):
        function = option(function)
    return function


def place(
    application: Jobpipe,
    queue: str | None,
    priority: int | None,
    delay: timedelta | None,
    at: datetime | None,
) -> Place:
    """Return where jobs are to go; a span counts on the store's clock. Raises UsageError."""
    if delay is not None and at is not None:
        raise click.UsageError("--in and --at exclude each other.")
    if delay is not None:
        at = _EPOCH + timedelta(microseconds=application.health()) + delay
    return {"queue_name": queue, "priority": priority, "run_at": at}


@click.command(
    "move",
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe job move 41 42 --queue slow
      jobpipe job move -f "state:queued task:app.report" --queue slow --priority -5 --wait
    """,
)
@click.argument("ids", metavar="[ID...]", type=job_id, nargs=-1)
@by_filter()
@place_options
@setting_flags(*STORE)
@pass_choices
def move_jobs(
    choices: Choices,
    ids: Sequence[int],
    terms: str | None,
    preview: bool,
    wait: bool,
    queue: str | None,
    priority: int | None,
    delay: timedelta | None,
    at: datetime | None,
) -> int:
    """Move jobs that wait to another queue, priority or time."""
    check_named(ids, terms, preview, wait)
    if queue is None and priority is None and delay is None and at is None:
        raise click.UsageError("Say where they go: --queue, --priority, --in or --at.")

    def order(application: Jobpipe) -> Any:
        to = place(application, queue, priority, delay, at)
        return application.move_jobs(terms or "", **to, preview=preview)

    if terms is not None:
        return carry_out(choices, order, wait=wait)
    return steer(choices, ids, lambda jp, id: jp.patch(id, **place(jp, queue, priority, delay, at)))
