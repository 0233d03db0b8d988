"""``jobpipe flow``: look at batches, chains and flows, cancel them, run them once more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.main import tell_error
from jobpipe.cli.options import STORE, Noun, setting_flags
from jobpipe.cli.output import Column
from jobpipe.cli.types import job_id
from jobpipe.errors import JobpipeError
from jobpipe.model.state import State
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from jobpipe.app.flow_views import FlowView, MemberView
    from jobpipe.application import Jobpipe

MAX_LIST = 1_000
STATES = [str(each) for each in (State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELLED)]
"""Flows end as jobs do."""

FLOW_COLUMNS: list[Column[FlowView]] = [
    Column("ID", lambda flow: flow.id, "number"),
    Column("STATE", lambda flow: flow.state, "state"),
    Column("KIND", lambda flow: flow.kind),
    Column("NAME", lambda flow: flow.name),
    Column("TOTAL", lambda flow: flow.total, "number"),
    Column("SUCCEEDED", lambda flow: flow.succeeded, "number"),
    Column("FAILED", lambda flow: flow.failed, "number"),
    Column("CANCELLED", lambda flow: flow.cancelled, "number"),
    Column("CREATED", lambda flow: flow.created_at, "time"),
]

MEMBER_COLUMNS: list[Column[MemberView]] = [
    Column("ID", lambda member: member.id, "number"),
    Column("STATE", lambda member: member.state or "deleted", "state"),
    Column("KIND", lambda member: member.kind),
    Column("ROLE", lambda member: member.role),
    Column("WHAT", lambda member: member.task or member.name),
    Column("AFTER", lambda member: member.waits, "number"),
    Column("WHY", lambda member: member.reason),
]


@click.group(cls=Noun)
def flow(**_: Any) -> None:
    """Look at batches, chains and flows, cancel them, run them once more."""


@flow.command(
    "list",
    epilog="""\b
    Examples:
      jobpipe flow list -s running
      jobpipe flow list -o jsonl | jq .id
    """,
)
@click.option(
    "-s",
    "--state",
    type=click.Choice(STATES),
    metavar="STATE",
    help=f"Only flows in this state: {', '.join(STATES)}.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIST),
    default=50,
    metavar="N",
    help=f"The most flows to show: 1 to {MAX_LIST}, 50 when not given.",
)
@click.option("--before", type=job_id, metavar="ID", help="Only flows with ids below this one.")
@setting_flags(*STORE)
@pass_choices
def list_flows(choices: Choices, state: str | None, limit: int, before: int | None) -> None:
    """List flows, newest first."""
    views = choices.application().flows(state=state, limit=limit, before=before)
    choices.out().listing(FLOW_COLUMNS, views, empty="No such flows.")


@flow.command("show")
@click.argument("id", type=job_id)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIST),
    default=50,
    metavar="N",
    help=f"The most nodes to show: 1 to {MAX_LIST}, 50 when not given.",
)
@click.option("--after", type=click.IntRange(0), default=0, metavar="ID", help="Only later nodes.")
@setting_flags(*STORE)
@pass_choices
def show_flow(choices: Choices, id: int, limit: int, after: int) -> None:
    """Show a flow, how far it is, and its nodes."""
    application = choices.application()
    view = application.flow_view(id)
    members = application.flow_members(id, limit=limit, after=after)
    out = choices.out()
    if not out.is_text:
        import msgspec

        out.json(msgspec.to_builtins(view) | {"members": members})
        return
    out.card(_facts(view))
    if members:
        click.echo()
        out.table(MEMBER_COLUMNS, members)
    if len(members) == limit:
        click.echo(f"There may be more: --after {members[-1].id}", err=True)


@flow.command("cancel")
@click.argument("ids", metavar="ID...", type=job_id, nargs=-1, required=True)
@setting_flags(*STORE)
@pass_choices
def cancel_flows(choices: Choices, ids: Sequence[int]) -> int:
    """Cancel all that is left of flows; what runs is asked to stop."""
    return _steer(choices, ids, lambda application, id: application.cancel_flow(id))


@flow.command("rerun")
@click.argument("ids", metavar="ID...", type=job_id, nargs=-1, required=True)
@setting_flags(*STORE)
@pass_choices
def rerun_flows(choices: Choices, ids: Sequence[int]) -> int:
    """Run anew what failed in flows, or was cancelled; what has succeeded stays."""
    return _steer(choices, ids, lambda application, id: application.rerun_flow(id))


def _steer(choices: Choices, ids: Sequence[int], act: Callable[[Jobpipe, int], object]) -> int:
    """Do something to each flow and show how it stands; one that refuses stops no other."""
    application = choices.application(acts=True)
    done: list[FlowView] = []
    code = exits.OK
    for id in ids:
        try:
            act(application, id)
            done.append(application.flow_view(id))
        except JobpipeError as error:
            tell_error(error)
            code = code or exits.exit_code(error)
            if code == exits.UNREACHABLE:
                break
    out = choices.out()
    if out.is_text:
        for view in done:
            out.line(f"{view.id}  {_state(view)}")
    elif len(ids) > 1:
        out.listing([], done)
    elif done:
        out.json(done[0])
    return code


def _state(view: FlowView) -> str:
    stopping = view.ending is not None and str(view.state) == State.RUNNING
    return "running, being cancelled" if stopping else str(view.state)


def _facts(view: FlowView) -> list[tuple[str, str]]:
    ended = f"{view.succeeded} succeeded, {view.failed} failed, {view.cancelled} cancelled"
    facts = [
        ("id", str(view.id)),
        ("kind", str(view.kind)),
        ("name", escape(view.name or "")),
        ("state", _state(view)),
        ("why", str(view.ending or "")),
        ("policy", str(view.policy)),
        ("nodes", f"{view.total}: {ended}, {view.left} left"),
        ("created", view.created_at or ""),
        ("deadline", view.deadline_at or ""),
        ("finished", view.finished_at or ""),
        ("part of", "" if view.parent is None else f"flow {view.parent}"),
    ]
    return [(name, value) for name, value in facts if value]
