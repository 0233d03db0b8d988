"""``jobpipe check``: whether this code could run every job that waits, before it ships."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.output import Output

if TYPE_CHECKING:
    from jobpipe.app.check import CheckFinding, CheckView


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe check app:jp --against postgresql://reader@db/jobs
      jobpipe check app:jp -o json | jq -r '.findings[] | select(.code == "unknown_task") | .task'
    """,
)
@click.argument("place", metavar="[APP]", required=False)
@click.option("--against", metavar="URL", help="The store whose jobs are to run; default: --url.")
@setting_flags(*STORE)
@pass_choices
def check(choices: Choices, place: str | None, against: str | None) -> int:
    """Check every waiting job of a store against the tasks of this code, before it ships.

    Finds jobs whose task this code does not have, whose arguments it does not take (after its
    upgrades), or that newer code stored. Nothing is changed. Exit 0 when all would run, 1 when
    any would not, 75 when the store cannot be reached.
    """
    choices.name_application(place)
    if against is not None:
        choices.flags["url"] = against
    checked = choices.application(tasks=True).check_jobs()
    _show(choices.out(), checked)
    return exits.OK if checked.ok else exits.FAILED


def _show(out: Output, checked: CheckView) -> None:
    if out.form == "json":
        out.json(checked)
        return
    for finding in checked.findings:
        if out.form == "jsonl":
            out.json(finding)
        else:
            out.note("error", finding.code, _which(finding), f"{finding.why}.")
    if out.is_text:
        verdict = "run them all" if checked.ok else f"not run {checked.refused} of them"
        out.line(f"Waiting jobs: {checked.checked}. This code would {verdict}.")


def _which(finding: CheckFinding) -> str:
    ids = ", ".join(map(str, finding.first_ids))
    if finding.jobs == 1:
        return f"{finding.task}: job {ids}"
    more = ", ..." if finding.jobs > len(finding.first_ids) else ""
    return f"{finding.task}: {finding.jobs} jobs ({ids}{more})"
