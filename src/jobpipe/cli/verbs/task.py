"""``jobpipe task``: what the application can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, setting_flags
from jobpipe.cli.output import Column

if TYPE_CHECKING:
    from jobpipe.app.task_views import TaskView


COLUMNS: list[Column[TaskView]] = [
    Column("TASK", lambda task: task.name),
    Column("QUEUE", lambda task: task.queue),
    Column("PRIORITY", lambda task: task.priority, "number"),
    Column("EXECUTOR", lambda task: task.executor),
    Column("SIGNATURE", lambda task: task.signature),
    Column("MEANING", lambda task: task.doc),
]


@click.group(cls=Noun)
def task(**_: Any) -> None:
    """Look at the tasks of an application."""


@task.command("list", epilog="Example: jobpipe task list --app app:jp")
@setting_flags(*STORE)
@pass_choices
def list_tasks(choices: Choices) -> None:
    """List the tasks that the application declares."""
    tasks = choices.application(tasks=True).tasks()
    choices.out().listing(COLUMNS, tasks, empty="The application declares no tasks.")
