"""``jobpipe doctor``: what is wrong with the store and the work in it, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.output import Output

if TYPE_CHECKING:
    from jobpipe.app.diagnosis import Diagnosis


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe doctor
      jobpipe doctor app:jp             also the tasks of the application
      jobpipe doctor -o jsonl | jq -r 'select(.severity == "error") | .code'
    """,
)
@click.argument("place", metavar="[APP]", required=False)
@setting_flags(*STORE, "listen_url", "retention", "timeout_seconds")
@pass_choices
def doctor(choices: Choices, place: str | None) -> int:
    """Look for what is wrong with the store and the work in it, and tell how to mend it.

    Nothing is changed. Exit 0 when nothing is an error, 3 when something is, 75 when the store
    cannot be reached.
    """
    choices.name_application(place)
    diagnosis = choices.application().diagnose()
    _show(choices.out(), diagnosis)
    if not diagnosis.reachable:
        return exits.UNREACHABLE
    return exits.OK if diagnosis.ok else exits.UNHEALTHY


def _show(out: Output, diagnosis: Diagnosis) -> None:
    if out.form == "json":
        out.json({"ok": diagnosis.ok, "findings": diagnosis.findings})
        return
    for finding in diagnosis.findings:
        if out.form == "jsonl":
            out.json(finding)
        else:
            fix = f"fix: {finding.fix}" if finding.fix else ""
            out.note(str(finding.severity), finding.code, finding.what, fix)
