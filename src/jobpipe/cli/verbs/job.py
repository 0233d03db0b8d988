"""``jobpipe job``: look at jobs; what changes them stands in ``job_steer.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import completing, times
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, setting_flags
from jobpipe.cli.output import Column, brief
from jobpipe.cli.types import job_id
from jobpipe.cli.verbs.job_explain import explain_job
from jobpipe.cli.verbs.job_logs import job_logs
from jobpipe.cli.verbs.job_move import move_jobs, patch_job
from jobpipe.cli.verbs.job_steer import cancel_jobs, delete_jobs, rerun_jobs
from jobpipe.cli.verbs.job_watch import error_line, job_watch
from jobpipe.model.state import State
from jobpipe.telemetry.escape import escape, escape_block

if TYPE_CHECKING:
    from jobpipe.app.views import AttemptView, JobView

MAX_LIST = 1_000

JOB_COLUMNS: list[Column[JobView]] = [
    Column("ID", lambda job: job.id, "number"),
    Column("STATE", lambda job: job.state, "state"),
    Column("TASK", lambda job: job.task),
    Column("QUEUE", lambda job: job.queue),
    Column("PRIORITY", lambda job: job.priority, "number"),
    Column("ATTEMPT", lambda job: f"{job.attempt}/{job.max_attempts}", "number"),
    Column("CREATED", lambda job: job.created_at, "time"),
    Column("WHY", lambda job: _why(job)),
]

ATTEMPT_COLUMNS: list[Column[AttemptView]] = [
    Column("ATTEMPT", lambda run: run.number, "number"),
    Column("OUTCOME", lambda run: run.outcome, "state"),
    Column("WORKER", lambda run: run.worker),
    Column("PID", lambda run: run.pid, "number"),
    Column("STARTED", lambda run: run.started_at, "time"),
    Column("TOOK", lambda run: _took(run.duration_seconds), "number"),
    Column("ERROR", lambda run: error_line(run.error)),
]


@click.group(cls=Noun)
def job(**_: Any) -> None:
    """Look at jobs, cancel them, run them once more, change, move and delete them."""


@job.command(
    "list",
    epilog="""\b
    Examples:
      jobpipe job list -s failed -q mail
      jobpipe job list -f "state:failed,cancelled task:app.* age<2d" --limit 5
      jobpipe job list -o jsonl | jq .id
    """,
)
@click.option(
    "-s",
    "--state",
    type=click.Choice([each.value for each in State]),
    metavar="STATE",
    help=f"Only jobs in this state: {', '.join(State)}.",
)
@click.option(
    "-q",
    "--queue",
    metavar="QUEUE",
    help="Only jobs of this queue.",
    shell_complete=completing.queues,
)
@click.option(
    "-t",
    "--task",
    metavar="TASK",
    help="Only jobs of this task.",
    shell_complete=completing.tasks,
)
@click.option(
    "-f",
    "--filter",
    "terms",
    metavar="FILTER",
    help="Terms that must all hold: state:failed,parked task:app.* -tag:eu age>1h args.id:42.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIST),
    default=50,
    metavar="N",
    help=f"The most jobs to show: 1 to {MAX_LIST}, 50 when not given.",
)
@click.option("--before", type=job_id, metavar="ID", help="Only jobs with ids below this one.")
@setting_flags(*STORE)
@pass_choices
def list_jobs(
    choices: Choices,
    state: str | None,
    queue: str | None,
    task: str | None,
    terms: str | None,
    limit: int,
    before: int | None,
) -> None:
    """List jobs, newest first."""
    from jobpipe.app.views import page_view

    page = choices.application().job_page(
        state=state, queue_name=queue, task=task, q=terms, limit=limit, before=before
    )
    view = page_view(page)
    out = choices.out()
    out.listing(JOB_COLUMNS, view.items, page=view, empty="No such jobs.")
    if view.looked_down_to is not None:
        click.echo(f"Looked at jobs down to id {view.looked_down_to} only.", err=True)
    if view.next_cursor and out.form != "json":
        click.echo(f"There are more: --before {view.next_cursor}", err=True)


@job.command("show")
@click.argument("id", type=job_id)
@setting_flags(*STORE)
@pass_choices
def show_job(choices: Choices, id: int) -> None:
    """Show one job with its attempts, arguments, result and error."""
    from jobpipe.app.views import attempt_views, job_view

    application = choices.application()
    record = application.job(id).record
    assert record is not None  # a handle that was looked up has been read
    view = job_view(record)
    attempts = attempt_views(record, application.attempts(id))
    out = choices.out()
    if not out.is_text:
        import msgspec

        out.json(msgspec.to_builtins(view, str_keys=True) | {"attempts": attempts})
        return
    out.card(_facts(view))
    if attempts:
        click.echo()
        out.table(ATTEMPT_COLUMNS, attempts)
    trace = view.error.get("traceback") if isinstance(view.error, dict) else None
    if isinstance(trace, str) and trace.strip():
        click.echo()
        click.echo("\n".join(escape_block(trace)))


for verb in (
    explain_job,
    job_logs,
    job_watch,
    cancel_jobs,
    rerun_jobs,
    patch_job,
    move_jobs,
    delete_jobs,
):
    job.add_command(verb)


def _facts(view: JobView) -> list[tuple[str, str]]:
    state = f"{view.state}"
    facts = [
        ("id", str(view.id)),
        ("task", escape(view.task)),
        ("state", state),
        ("why", escape(_why(view))),
        ("place in line", str(view.position or "")),
        ("queue", f"{escape(view.queue)}, priority {view.priority}"),
        ("attempt", f"{view.attempt} of {view.max_attempts}"),
        ("worker", escape(view.worker or "")),
        ("args", brief(view.args)),
        ("result", brief(view.result) if view.state is State.SUCCEEDED else ""),
        ("created", _when(view.created_at)),
        ("runs from", _when(view.run_at)),
        ("started", _when(view.started_at)),
        ("finished", _when(view.finished_at)),
        ("took", _took(view.duration_seconds)),
        ("timeout", "" if view.timeout_seconds is None else times.span(view.timeout_seconds)),
        ("expires", _when(view.expires_at)),
        ("cancel asked", _when(view.cancel_requested_at)),
        ("key", escape(view.idempotency_key or "")),
        ("tags", brief(view.tags) if view.tags else ""),
        ("meta", brief(view.meta) if view.meta else ""),
        ("losses", str(view.losses or "")),
        ("reruns", str(view.reruns or "")),
        ("error", escape(error_line(view.error))),
    ]
    return [(name, value) for name, value in facts if value]


def _why(view: JobView) -> str:
    if view.reason is not None:
        return view.reason.value
    if view.state is State.BLOCKED and isinstance(view.blocked_on, str):
        return view.blocked_on
    return "cancel requested" if view.cancel_requested_at and view.state is State.RUNNING else ""


def _when(moment: str | None) -> str:
    return "" if moment is None else f"{moment} ({times.ago(moment)})"


def _took(seconds: float | None) -> str:
    return "" if seconds is None else times.span(seconds)
