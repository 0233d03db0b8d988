"""``jobpipe job move`` and ``patch``: change jobs that wait."""

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
    from jobpipe.model.job import JobRecord

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


@click.command(
    "patch",
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe job patch 42 user_id=43
      jobpipe job patch 42 --args '{"user_id": 43}' --priority 10 --in 10m
    """,
)
@click.argument("id", type=job_id)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--args", "json_args", metavar="JSON", help="Arguments by name: an object.")
@place_options
@setting_flags(*STORE)
@pass_choices
def patch_job(
    choices: Choices,
    id: int,
    pairs: Sequence[str],
    json_args: str | None,
    queue: str | None,
    priority: int | None,
    delay: timedelta | None,
    at: datetime | None,
) -> int:
    """Give a job that waits other arguments, another queue, priority or time.

    Arguments that are not named stay. They are checked, so the task must be known: name the
    application, or the service that runs it.
    """
    has_args = bool(pairs) or json_args is not None
    if not has_args and (queue, priority, delay, at) == (None,) * 4:
        raise click.UsageError("Say what is to change: KEY=VALUE, --queue, --priority, --in, --at.")

    def act(application: Jobpipe, id: int) -> JobRecord:
        to = place(application, queue, priority, delay, at)
        args = _arguments(application, id, pairs, json_args) if has_args else None
        return application.patch(id, **to, args=args)

    return steer(choices, [id], act)


def _arguments(
    application: Jobpipe, id: int, pairs: Sequence[str], json_args: str | None
) -> dict[str, Any]:
    from jobpipe.cli.arguments import read_arguments

    record = application.job(id).record
    assert record is not None  # a handle that was looked up has been read
    args = read_arguments(application.task_named(record.task).signature, pairs, json_args)
    if isinstance(args, list):
        raise click.UsageError("--args takes an object: the arguments by name.")
    return args
