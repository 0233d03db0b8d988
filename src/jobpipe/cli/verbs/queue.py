"""``jobpipe queue``: look at queues, pause and resume them, set their limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import completing
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, end_of, end_options, setting_flags
from jobpipe.cli.output import Column
from jobpipe.cli.types import NONE, count_or_none, queue_name

if TYPE_CHECKING:
    from jobpipe.app.views import QueueView
    from jobpipe.application import Jobpipe

COLUMNS: list[Column[QueueView]] = [
    Column("QUEUE", lambda queue: queue.name),
    Column("TAKEN", lambda queue: "paused" if queue.paused else "ok", "state"),
    Column("BLOCKED", lambda queue: queue.blocked, "number"),
    Column("QUEUED", lambda queue: queue.queued, "number"),
    Column("RUNNING", lambda queue: queue.running, "number"),
    Column("SCHEDULED", lambda queue: queue.scheduled, "number"),
    Column("RETRYING", lambda queue: queue.retrying, "number"),
    Column("PARKED", lambda queue: queue.parked, "number"),
    Column("SUCCEEDED", lambda queue: queue.succeeded, "number"),
    Column("FAILED", lambda queue: queue.failed, "number"),
    Column("CANCELLED", lambda queue: queue.cancelled, "number"),
    Column("MOST WAITING", lambda queue: queue.max_queued, "number"),
    Column("AT A TIME", lambda queue: queue.concurrency, "number"),
    Column("RATE", lambda queue: queue.rate),
    Column("REASON", lambda queue: queue.reason),
    Column("UNTIL", lambda queue: queue.paused_until, "time"),
]


@click.group(cls=Noun)
def queue(**_: Any) -> None:
    """Look at queues, pause and resume them, set their limits."""


@queue.command("list")
@setting_flags(*STORE)
@pass_choices
def list_queues(choices: Choices) -> None:
    """List the queues, and how many of their jobs stand in each state.

    Counts of jobs that wait stop at 100,000; final jobs are counted for ever.
    """
    choices.out().listing(COLUMNS, _views(choices.application()), empty="No queues yet.")


@queue.command("pause")
@click.argument("names", metavar="QUEUE...", type=queue_name, nargs=-1, required=True)
@click.option("--reason", metavar="TEXT", help="Why, for whoever looks at the queue.")
@end_options
@setting_flags(*STORE)
@pass_choices
def pause(
    choices: Choices,
    names: Sequence[str],
    reason: str | None,
    until: datetime | None,
    span: timedelta | None,
) -> None:
    """Stop workers from taking jobs of these queues; what runs goes on.

    Jobs can still be enqueued. A queue may be paused before its first job.
    """
    end = end_of(until, span)

    def pause_one(application: Jobpipe, name: str) -> None:
        is_known = name in completing.known_queues(application)
        application.pause_queue(name, reason, until=end)
        if not is_known:
            click.echo(f"{name}: no job and no task names this queue yet", err=True)

    _each(choices, names, pause_one)


@queue.command("resume")
@click.argument("names", metavar="QUEUE...", type=queue_name, nargs=-1, required=True)
@setting_flags(*STORE)
@pass_choices
def resume(choices: Choices, names: Sequence[str]) -> None:
    """Let workers take jobs of these queues again."""
    _each(choices, names, lambda application, name: application.resume_queue(name))


@queue.command(
    "limit",
    epilog="""\b
    Examples:
      jobpipe queue limit mail --max-queued 10000
      jobpipe queue limit mail --concurrency 5 --rate 100/1m
      jobpipe queue limit mail --max-queued none
    """,
)
@click.argument("names", metavar="QUEUE...", type=queue_name, nargs=-1, required=True)
@click.option(
    "--max-queued",
    metavar="N|none",
    type=count_or_none,
    help="How many of its jobs may wait; above it enqueue is refused. In place of"
    " JOBPIPE_MAX_QUEUED.",
)
@click.option(
    "--concurrency",
    metavar="N|none",
    type=count_or_none,
    help="How many of its jobs may be queued or running at a time, over all processes.",
)
@click.option(
    "--rate",
    metavar="N/SPAN|none",
    help="How many of its jobs may start in a span of time: 100/1m, 5/s.",
)
@click.option("--burst", type=int, metavar="N", help="Of the rate: how many may start at once.")
@setting_flags(*STORE)
@pass_choices
def limit(choices: Choices, /, names: Sequence[str], **given: Any) -> None:
    """Set limits of these queues; they count in every process within a second.

    `none` takes a limit away; what is not named stays as it is.
    """
    limits = {
        name: None if value == NONE else value for name, value in given.items() if value is not None
    }
    if not limits:
        raise click.UsageError("name a limit: --max-queued, --concurrency or --rate")
    _each(choices, names, lambda jp, name: jp.limit_queue(name, **limits), _limits)


def _each(
    choices: Choices,
    names: Sequence[str],
    act: Callable[[Jobpipe, str], Any],
    told: Callable[[QueueView], str] | None = None,
) -> None:
    application = choices.application(acts=True)
    for name in names:
        act(application, name)
    changed = [view for view in _views(application) if view.name in names]
    out = choices.out()
    if out.is_text:
        for view in changed:
            out.line(f"{view.name}  {(told or _pause)(view)}")
        for name in dict.fromkeys(names):
            if name not in [view.name for view in changed]:
                click.echo(f"{name}: no such queue yet, and so it was not paused", err=True)
    elif len(names) == 1 and changed:
        out.json(changed[0])
    else:
        out.listing(COLUMNS, changed)


def _pause(view: QueueView) -> str:
    end = f" until {view.paused_until}" if view.paused_until else ""
    return f"{'paused' if view.paused else 'resumed'}{end}"


def _limits(view: QueueView) -> str:
    told = [
        f"at most {view.max_queued} waiting" if view.max_queued is not None else "",
        f"at most {view.concurrency} at a time" if view.concurrency is not None else "",
        f"at most {view.rate}" if view.rate is not None else "",
    ]
    return ", ".join(filter(None, told)) or "no limit"


def _views(application: Jobpipe) -> list[QueueView]:
    from jobpipe.app.views import queue_views

    return queue_views(application.queues(), application.queue_counts())
