"""``jobpipe job cancel``, ``rerun`` and ``delete``: jobs by ids, or all that a filter means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.main import tell_error
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.output import Output
from jobpipe.cli.types import job_id
from jobpipe.cli.verbs.job_many import by_filter, carry_out, check_named
from jobpipe.errors import JobpipeError
from jobpipe.model.state import State
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from jobpipe.app.views import JobView
    from jobpipe.application import Jobpipe
    from jobpipe.model.job import JobRecord

T = TypeVar("T")


@click.command(
    "cancel",
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe job cancel 41 42
      jobpipe job cancel -f "state:queued task:app.mail" --preview
      jobpipe job cancel -f "version:1 state:queued,retrying" --reason by_deploy --wait
    """,
)
@click.argument("ids", metavar="[ID...]", type=job_id, nargs=-1)
@by_filter()
@click.option(
    "--reason",
    type=click.Choice(["by_user", "by_deploy"]),
    default="by_user",
    help="What to find them by later: by_deploy are those that are to run on other code.",
)
@setting_flags(*STORE)
@pass_choices
def cancel_jobs(
    choices: Choices,
    ids: Sequence[int],
    terms: str | None,
    preview: bool,
    wait: bool,
    reason: str,
) -> int:
    """Cancel jobs that wait, and ask running ones to stop.

    A running job hears of it when its worker next looks (twice a second); `jobpipe job show ID`
    tells what came of it.
    """
    check_named(ids, terms, preview, wait)
    if terms is not None:
        return carry_out(
            choices, lambda jp: jp.cancel_jobs(terms, reason=reason, preview=preview), wait=wait
        )
    return steer(choices, ids, lambda application, id: application.cancel(id, reason=reason))


@click.command(
    "rerun",
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe job rerun 41 42
      jobpipe job rerun -f "state:failed error:Timeout age<2d" --wait
    """,
)
@click.argument("ids", metavar="[ID...]", type=job_id, nargs=-1)
@by_filter()
@setting_flags(*STORE)
@pass_choices
def rerun_jobs(
    choices: Choices, ids: Sequence[int], terms: str | None, preview: bool, wait: bool
) -> int:
    """Run jobs that have ended once more: same id, attempts from 0, history kept."""
    check_named(ids, terms, preview, wait)
    if terms is not None:
        return carry_out(choices, lambda jp: jp.rerun_jobs(terms, preview=preview), wait=wait)
    return steer(choices, ids, lambda application, id: application.rerun(id))


@click.command(
    "delete",
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe job delete 41 42 --dry-run
      jobpipe job delete -f "state:failed age>30d" --yes --wait
    """,
)
@click.argument("ids", metavar="[ID...]", type=job_id, nargs=-1)
@by_filter()
@click.option("-y", "--yes", is_flag=True, help="Do not ask first (only a terminal is asked).")
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@setting_flags(*STORE)
@pass_choices
def delete_jobs(
    choices: Choices,
    ids: Sequence[int],
    terms: str | None,
    preview: bool,
    wait: bool,
    yes: bool,
    dry_run: bool,
) -> int:
    """Delete jobs that have ended, with their history and their logs.

    A job that has not ended is refused: cancel it first.
    """
    check_named(ids, terms, preview, wait)
    is_dry = dry_run or preview
    which = f"all jobs with {terms!r}" if terms else f"{len(ids)} jobs"
    if not (yes or is_dry) and not _is_sure(f"job {ids[0]}" if len(ids) == 1 else which):
        return exits.FAILED
    if terms is not None:
        return carry_out(choices, lambda jp: jp.delete_jobs(terms, preview=is_dry), wait=wait)
    return _delete_each(choices, ids, dry_run)


def _is_sure(which: str) -> bool:
    """Ask whoever sits at a terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        return True
    if click.confirm(f"Delete {escape(which)} for ever?", err=True):
        return True
    click.echo("Nothing was deleted.", err=True)
    return False


def _delete_each(choices: Choices, ids: Sequence[int], dry_run: bool) -> int:
    act = (lambda application, id: application.deletable(id)) if dry_run else _delete
    done, code = _each_of(choices.application(acts=True), ids, act)
    out = choices.out()
    if out.is_text:
        for id in done:
            out.line(f"{id}  {'would be deleted' if dry_run else 'deleted'}")
    elif len(ids) > 1:
        out.listing([], [{"id": id, "deleted": not dry_run} for id in done])
    elif done:
        out.json({"id": ids[0], "deleted": not dry_run})
    return code


def _delete(application: Jobpipe, id: int) -> int:
    application.delete(id)
    return id


def steer(choices: Choices, ids: Sequence[int], act: Callable[[Jobpipe, int], JobRecord]) -> int:
    """Do something to each job and show what became of it."""
    from jobpipe.app.views import job_view

    application = choices.application(acts=True)
    done, code = _each_of(application, ids, lambda jp, id: job_view(act(jp, id)))
    _show_changed(choices.out(), done, several=len(ids) > 1)
    return code


def _each_of(
    application: Jobpipe, ids: Sequence[int], act: Callable[[Jobpipe, int], T]
) -> tuple[list[T], int]:
    """Do something for each job; one that refuses does not keep the others from it."""
    done, code = [], exits.OK
    for id in ids:
        try:
            done.append(act(application, id))
        except JobpipeError as error:
            tell_error(error)
            code = code or exits.exit_code(error)
            if code == exits.UNREACHABLE:
                break
    return done, code


def _show_changed(out: Output, jobs: Sequence[JobView], *, several: bool) -> None:
    if not out.is_text:
        if several:
            out.listing([], jobs)
        elif jobs:
            out.json(jobs[0])
        return
    for view in jobs:
        asked = view.state is State.RUNNING and view.cancel_requested_at is not None
        out.line(f"{view.id}  {'running, asked to stop' if asked else view.state}")
