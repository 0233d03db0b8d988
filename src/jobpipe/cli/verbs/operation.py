"""``jobpipe operation``: look at orders about many jobs, and stop them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, setting_flags
from jobpipe.cli.output import Column
from jobpipe.cli.verbs.job_many import show_operation, wait_for
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from jobpipe.app.operation_views import OperationView

STATES = ["running", "done", "cancelled", "failed"]
MAX_LIST = 1_000

COLUMNS: list[Column[OperationView]] = [
    Column("ID", lambda view: view.id, "number"),
    Column("STATE", lambda view: view.state, "state"),
    Column("ACTION", lambda view: view.action),
    Column("MATCHED", lambda view: view.matched, "number"),
    Column("CHANGED", lambda view: view.changed, "number"),
    Column("REFUSED", lambda view: view.refused, "number"),
    Column("WHO", lambda view: view.who),
    Column("CREATED", lambda view: view.created_at, "time"),
    Column("FILTER", lambda view: view.q),
]

operation_id = click.IntRange(1, 2**63 - 1)


@click.group(cls=Noun)
def operation(**_: Any) -> None:
    """Look at orders about many jobs (`job cancel -f ...`), and stop them."""


@operation.command("list")
@click.option("-s", "--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIST),
    default=50,
    metavar="N",
    help=f"The most to show: 1 to {MAX_LIST}, 50 when not given.",
)
@click.option("--before", type=operation_id, metavar="ID", help="Only ids below this one.")
@setting_flags(*STORE)
@pass_choices
def list_operations(choices: Choices, state: str | None, limit: int, before: int | None) -> None:
    """List operations, newest first."""
    from jobpipe.app.operation_views import operation_view

    found = choices.application().operations(state=state, before=before, limit=limit)
    views = [operation_view(each.record) for each in found]
    choices.out().listing(COLUMNS, views, empty="No such operations.")


@operation.command("show")
@click.argument("id", type=operation_id)
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit with its end.")
@setting_flags(*STORE)
@pass_choices
def show(choices: Choices, id: int, wait: bool) -> int:
    """Show one operation: how far it is, and what came of it."""
    from jobpipe.app.operation_views import operation_view

    application = choices.application()
    found, out = application.operation(id), choices.out()
    if wait:
        return wait_for(application, found, out)
    if not out.is_text:
        show_operation(out, found)
        return 0
    view = operation_view(found.record)
    facts = [
        ("id", str(view.id)),
        ("action", view.action),
        ("filter", escape(view.q)),
        *((name, escape(str(value))) for name, value in _given(view)),
        ("state", view.state),
        ("matched", f"{view.matched:,}"),
        ("changed", f"{view.changed:,}"),
        ("refused", f"{view.refused:,}"),
        ("done up to", f"job {view.position} of {view.last_id}"),
        ("who", escape(f"{view.who} ({view.via})")),
        ("created", view.created_at or ""),
        ("finished", view.finished_at or ""),
        ("error", escape(view.error or "")),
    ]
    out.card([(name, value) for name, value in facts if value])
    return 0


@operation.command("cancel")
@click.argument("id", type=operation_id)
@setting_flags(*STORE)
@pass_choices
def cancel(choices: Choices, id: int) -> None:
    """Stop an operation; what it has done stays done."""
    found = choices.application(acts=True).operation(id)
    show_operation(choices.out(), found.cancel())


def _given(view: OperationView) -> list[tuple[str, object]]:
    said = [(name, getattr(view.params, name)) for name in view.params.__struct_fields__]
    return [(name, value) for name, value in said if value is not None]
