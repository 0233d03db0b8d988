"""``jobpipe db``: the schema of the store."""

from __future__ import annotations

from typing import Any

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, setting_flags


@click.group(cls=Noun)
def db(**_: Any) -> None:
    """Look after the schema of the store.

    The schema is brought up to date on first use; these verbs are for those who would rather do it
    themselves.
    """


@db.command("migrate")
@setting_flags(*STORE)
@pass_choices
def migrate(choices: Choices) -> None:
    """Bring the schema up to date."""
    done = [f"{step.version:04} {step.name}" for step in choices.application().migrate()]
    out = choices.out()
    if not out.is_text:
        out.json({"applied": done})
    elif done:
        for step in done:
            out.line(f"applied {step}")
    else:
        out.line("up to date")


@db.command("status")
@setting_flags(*STORE)
@pass_choices
def status(choices: Choices) -> None:
    """Tell the version of the schema, and what it still needs."""
    from jobpipe.app.views import schema_view

    view = schema_view(choices.application().schema_status())
    out = choices.out()
    if not out.is_text:
        out.json(view)
        return
    out.line(f"version {view.current}, this Jobpipe knows {view.known}")
    for step in view.pending:
        out.line(f"pending {step}")
    if view.newer:
        out.line("the schema is newer than this Jobpipe, which will not use it")


@db.command("sql")
@setting_flags(*STORE)
@pass_choices
def sql(choices: Choices) -> None:
    """Print the SQL that makes the schema in an empty store, for those who review it first."""
    text = choices.application().schema_sql()
    out = choices.out()
    if out.is_text:
        click.echo(text.rstrip("\n"))
    else:
        out.json({"sql": text})


@db.command("check")
@setting_flags(*STORE)
@pass_choices
def check(choices: Choices) -> int:
    """Check that what stands in the store fits together; exit 3 when it does not."""
    problems = choices.application().check_store()
    out = choices.out()
    if not out.is_text:
        out.json({"ok": not problems, "problems": problems})
    elif problems:
        for problem in problems:
            out.line(problem)
    else:
        out.line("ok")
    return exits.UNHEALTHY if problems else exits.OK
