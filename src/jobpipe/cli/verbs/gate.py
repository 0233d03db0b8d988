"""``jobpipe gate``: look at gates, limit, pause and resume their keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, end_of, end_options, setting_flags
from jobpipe.cli.output import Column, Output
from jobpipe.cli.types import NONE

if TYPE_CHECKING:
    from jobpipe.app.gate_views import GateView

KINDS = ("group", "concurrency", "rate")

COLUMNS: list[Column[GateView]] = [
    Column("KIND", lambda gate: gate.kind),
    Column("KEY", lambda gate: gate.key),
    Column("SAID BY JOBS", lambda gate: _said(gate.terms)),
    Column("SET", lambda gate: _said(gate.override)),
    Column("HELD", lambda gate: gate.held, "number"),
    Column("WAITING", lambda gate: gate.waiting, "number"),
    Column("STATE", lambda gate: "paused" if gate.paused else "ok", "state"),
    Column("REASON", lambda gate: gate.reason),
    Column("UNTIL", lambda gate: gate.paused_until or gate.shut_until, "time"),
]


def _said(terms: Any) -> str | None:
    match terms:
        case {"per_seconds": per, "n": n, "burst": burst}:
            return f"{n} in {per:g} s, {burst} at once"
        case {"n": n}:
            return f"{n} at a time"
        case {"on_failure": on_failure}:
            return f"on failure {on_failure}"
    return None


@click.group(cls=Noun)
def gate(**_: Any) -> None:
    """Look at gates, limit, pause and resume their keys."""


@gate.command("list")
@click.option("--kind", type=click.Choice([*KINDS, "task"]), help="Only gates of this kind.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most.")
@setting_flags(*STORE)
@pass_choices
def list_gates(choices: Choices, kind: str | None, limit: int) -> None:
    """List gates with who holds them and who waits, then the tasks that are paused."""
    page = choices.application().gate_page(kind, limit=limit)
    told = {"items": page.gates, "next_cursor": page.next_cursor}
    choices.out().listing(COLUMNS, page.gates, page=told, empty="No gates.")


@gate.command(
    "limit",
    epilog="""\b
    Examples:
      jobpipe gate limit concurrency customer-7 3
      jobpipe gate limit rate mail-api 100/1m --burst 10
      jobpipe gate limit group user-42 block
      jobpipe gate limit rate mail-api none
    """,
)
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("key")
@click.argument("limit", metavar="LIMIT|none")
@click.option("--burst", type=int, help="Of a rate: how many may start at once.")
@setting_flags(*STORE)
@pass_choices
def limit_gate(choices: Choices, kind: str, key: str, limit: str, burst: int | None) -> None:
    """Set what counts for a key in place of what its jobs say; none: they count again.

    The limit of concurrency is a number, that of a rate a number and a span, that of a group what
    a failure means for those behind: skip, block or fail.
    """
    wanted: int | str | None = int(limit) if kind == "concurrency" and limit.isdecimal() else limit
    wanted = None if limit == NONE else wanted
    view = choices.application(acts=True).limit_gate(kind, key, wanted, burst=burst)
    tell(choices.out(), view, "no limit of its own" if view.override is None else "limited")


@gate.command("pause")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("key")
@click.option("--reason", metavar="TEXT", help="Why, for whoever looks at the gate.")
@end_options
@setting_flags(*STORE)
@pass_choices
def pause_gate(
    choices: Choices,
    kind: str,
    key: str,
    reason: str | None,
    until: datetime | None,
    span: timedelta | None,
) -> None:
    """Let no job of a key through; what waits for a worker is taken back, what runs goes on."""
    jp = choices.application(acts=True)
    tell(choices.out(), jp.pause_gate(kind, key, reason, until=end_of(until, span)), "paused")


@gate.command("resume")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("key")
@setting_flags(*STORE)
@pass_choices
def resume_gate(choices: Choices, kind: str, key: str) -> None:
    """Let jobs of a key through again."""
    tell(choices.out(), choices.application(acts=True).resume_gate(kind, key), "resumed")


def tell(out: Output, view: GateView, word: str) -> None:
    """Tell how a gate stands that was just changed."""
    if out.is_text:
        end = f" until {view.paused_until}" if view.paused_until else ""
        out.line(f"{view.kind} {view.key}  {word}{end}")
    else:
        out.json(view)
