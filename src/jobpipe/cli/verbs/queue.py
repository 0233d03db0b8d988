"""``jobpipe queue``: look at queues, pause and resume them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, setting_flags
from jobpipe.cli.output import Column
from jobpipe.cli.types import queue_name

if TYPE_CHECKING:
    from jobpipe.app.views import QueueView
    from jobpipe.application import Jobpipe

COLUMNS: list[Column[QueueView]] = [
    Column("QUEUE", lambda queue: queue.name),
    Column("TAKEN", lambda queue: "paused" if queue.paused else "ok", "state"),
    Column("QUEUED", lambda queue: queue.queued, "number"),
    Column("RUNNING", lambda queue: queue.running, "number"),
    Column("SCHEDULED", lambda queue: queue.scheduled, "number"),
    Column("RETRYING", lambda queue: queue.retrying, "number"),
    Column("PARKED", lambda queue: queue.parked, "number"),
    Column("SUCCEEDED", lambda queue: queue.succeeded, "number"),
    Column("FAILED", lambda queue: queue.failed, "number"),
    Column("CANCELLED", lambda queue: queue.cancelled, "number"),
    Column("REASON", lambda queue: queue.reason),
]


@click.group(cls=Noun)
def queue(**_: Any) -> None:
    """Look at queues, pause and resume them."""


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
@setting_flags(*STORE)
@pass_choices
def pause(choices: Choices, names: Sequence[str], reason: str | None) -> None:
    """Stop workers from taking jobs of these queues; what runs goes on.

    Jobs can still be enqueued. A queue may be paused before its first job.
    """
    _each(choices, names, lambda application, name: application.pause_queue(name, reason))


@queue.command("resume")
@click.argument("names", metavar="QUEUE...", type=queue_name, nargs=-1, required=True)
@setting_flags(*STORE)
@pass_choices
def resume(choices: Choices, names: Sequence[str]) -> None:
    """Let workers take jobs of these queues again."""
    _each(choices, names, lambda application, name: application.resume_queue(name))


def _each(choices: Choices, names: Sequence[str], act: Callable[[Jobpipe, str], Any]) -> None:
    application = choices.application(acts=True)
    for name in names:
        act(application, name)
    changed = [view for view in _views(application) if view.name in names]
    out = choices.out()
    if out.is_text:
        for view in changed:
            out.line(f"{view.name}  {'paused' if view.paused else 'resumed'}")
        for name in dict.fromkeys(names):
            if name not in [view.name for view in changed]:
                click.echo(f"{name}: no such queue yet, and so it was not paused", err=True)
    elif len(names) == 1 and changed:
        out.json(changed[0])
    else:
        out.listing(COLUMNS, changed)


def _views(application: Jobpipe) -> list[QueueView]:
    from jobpipe.app.views import queue_views

    return queue_views(application.queues(), application.queue_counts())
