"""``jobpipe job explain``: why a job is not running, and when it may."""

from __future__ import annotations

import click

from jobpipe.cli import times
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.types import job_id
from jobpipe.telemetry.escape import escape


@click.command("explain", cls=Verb)
@click.argument("id", metavar="ID", type=job_id)
@setting_flags(*STORE)
@pass_choices
def explain_job(choices: Choices, id: int) -> None:
    """Tell why a job is not running, what to do about it, and when it may start."""
    view = choices.application().explain(id)
    out = choices.out()
    if not out.is_text:
        out.json(view)
        return
    out.line(f"{view.id}  {view.state}")
    for reason in view.reasons:
        since = "" if reason.since is None else f" Since {_when(reason.since)}."
        until = "" if reason.until is None else f" Until {_when(reason.until)}."
        out.line(f"  {escape(reason.message)}{since}{until}")
        for other in reason.others:
            began = "" if other.since is None else f" since {_when(other.since)}"
            out.line(f"    {other.id}  {other.state}{began}")
        if reason.help:
            out.line(f"    {escape(reason.help)}")
    if view.may_start_at is not None:
        out.line(f"  may start {_when(view.may_start_at)}")


def _when(moment: str) -> str:
    return f"{moment} ({times.ago(moment)})"
