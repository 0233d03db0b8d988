"""``jobpipe task pause`` and ``resume``."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from jobpipe.cli import completing
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Verb, end_of, end_options, setting_flags
from jobpipe.cli.verbs.gate import tell
from jobpipe.telemetry.escape import escape

TASK = "task"


@click.command("pause", cls=Verb)
@click.argument("name", metavar="TASK")
@click.option("--reason", metavar="TEXT", help="Why, for whoever asks.")
@end_options
@setting_flags(*STORE)
@pass_choices
def pause_task(
    choices: Choices,
    name: str,
    reason: str | None,
    until: datetime | None,
    span: timedelta | None,
) -> None:
    """Let no job of a task begin, in any queue; what runs goes on.

    Jobs can still be enqueued: a worker that takes one sets it aside, and no attempt is charged.
    `jobpipe gate list --kind task` lists the tasks that are paused.
    """
    jp = choices.application(acts=True)
    tell(choices.out(), jp.pause_gate(TASK, name, reason, until=end_of(until, span)), "paused")
    if name not in completing.known_tasks(jp):
        click.echo(
            f"{escape(name)}: no such task is declared, and none of the newest jobs is of it",
            err=True,
        )


@click.command("resume", cls=Verb)
@click.argument("name", metavar="TASK")
@setting_flags(*STORE)
@pass_choices
def resume_task(choices: Choices, name: str) -> None:
    """Let jobs of a task begin again; those that were set aside come back."""
    tell(choices.out(), choices.application(acts=True).resume_gate(TASK, name), "resumed")
