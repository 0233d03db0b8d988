"""``jobpipe task``: what the application can run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import completing
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, setting_flags
from jobpipe.cli.output import Column
from jobpipe.cli.verbs.task_pause import pause_task, resume_task
from jobpipe.telemetry.escape import escape, escape_json

if TYPE_CHECKING:
    from jobpipe.app.task_views import TaskDetail, TaskView


COLUMNS: list[Column[TaskView]] = [
    Column("TASK", lambda task: task.name),
    Column("QUEUE", lambda task: task.queue),
    Column("PRIORITY", lambda task: task.priority, "number"),
    Column("EXECUTOR", lambda task: task.executor),
    Column("VERSION", lambda task: task.version, "number"),
    Column("SIGNATURE", lambda task: task.signature),
    Column("MEANING", lambda task: task.doc),
]


@click.group(cls=Noun)
def task(**_: Any) -> None:
    """Look at the tasks of an application, pause and resume them."""


task.add_command(pause_task)
task.add_command(resume_task)


@task.command("list", epilog="Example: jobpipe task list --app app:jp")
@setting_flags(*STORE)
@pass_choices
def list_tasks(choices: Choices) -> None:
    """List the tasks that the application declares."""
    tasks = choices.application(tasks=True).tasks()
    choices.out().listing(COLUMNS, tasks, empty="The application declares no tasks.")


@task.command("show", epilog="Example: jobpipe task show app.add --app app:jp")
@click.argument("name", shell_complete=completing.tasks)
@setting_flags(*STORE)
@pass_choices
def show_task(choices: Choices, name: str) -> None:
    """Show one task: its options, its versions, and the JSON Schema of its arguments."""
    view = choices.application(tasks=True).task_detail(name)
    out = choices.out()
    if out.is_text:
        out.card(_facts(view))
    else:
        out.json(view)


def _facts(view: TaskDetail) -> list[tuple[str, str]]:
    facts = [
        ("task", view.name),
        ("meaning", view.doc),
        ("signature", view.signature),
        ("queue", f"{view.queue}, priority {view.priority}"),
        ("executor", view.executor),
        ("version", str(view.version)),
        ("upgrades", ", ".join(f"from {version}" for version in view.upgrades)),
        ("aliases", ", ".join(view.aliases)),
        *((name, _said(value)) for name, value in view.options.items() if name != "version"),
    ]
    shown = [(name, escape(text)) for name, text in facts if text]
    if view.args_schema is not None:
        shown.append(("arguments", escape_json(json.dumps(view.args_schema, indent=2))))
    return shown


def _said(value: object) -> str:
    """Return an option as text; nothing where the setting decides."""
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
