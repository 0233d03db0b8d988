"""``jobpipe enqueue``: ask for a job, and wait for it if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import completing, exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.main import tell_error
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.output import Output, to_json
from jobpipe.cli.types import NONE, count_or_none, moment, span
from jobpipe.errors import JobCancelled, JobFailed, WaitTimeout

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe
    from jobpipe.tasks.job import Job


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe enqueue app.add a=1 b=2
      jobpipe enqueue app.welcome --args '{"user_id": 42}' --in 10m --key welcome-42
      jobpipe enqueue app.add --args '[1, 2]' --wait

    \b
    A value is read as JSON where the parameter takes what it says, and as text otherwise:
    a=1 is a number for an int and the text "1" for a str.
    """,
)
@click.argument("task", metavar="TASK", shell_complete=completing.tasks)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--args", "json_args", metavar="JSON", help="The arguments: an object or an array.")
@click.option(
    "-q",
    "--queue",
    metavar="QUEUE",
    help="Another queue than the task's.",
    shell_complete=completing.queues,
)
@click.option("--priority", type=int, metavar="N", help="From -100 to 100, higher first.")
@click.option("--in", "delay", type=span, metavar="SPAN", help="Not before 10m, 1h30m, ...")
@click.option("--at", type=moment, metavar="TIME", help="Not before: 2030-01-31T09:00:00Z.")
@click.option("--key", metavar="KEY", help="Idempotency key: repeated, it gives the same job.")
@click.option(
    "--unique",
    metavar="KEY",
    help="Unique key, with {name} for an argument: no second job while one with it waits.",
)
@click.option("--max-attempts", type=int, metavar="N", help="How many attempts the job has.")
@click.option("--timeout", type=span, metavar="SPAN", help="The time-out of each attempt.")
@click.option("--tenant", metavar="NAME", help="Whose job it is; tenants share a queue.")
@click.option("--group", metavar="KEY", help="Jobs of a group run one at a time, in order.")
@click.option(
    "--concurrency",
    metavar="N|none",
    type=count_or_none,
    help="How many jobs of the task run at a time, in place of what it says.",
)
@click.option(
    "--rate",
    metavar="N/SPAN|none",
    help="How many jobs of the task start in a span of time: 100/1m, 5/s.",
)
@click.option("--wait", is_flag=True, help="Wait for the end; exit with the job's outcome.")
@click.option(
    "--wait-timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Stop waiting then (exit 12); the job goes on.",
)
@setting_flags(*STORE, "max_queued", "max_payload")
@pass_choices
def enqueue(
    choices: Choices,
    /,
    task: str,
    pairs: Sequence[str],
    json_args: str | None,
    wait: bool,
    wait_timeout: float | None,
    **options: Any,
) -> int:
    """Ask for a job that runs TASK, and print its id.

    With --wait the result is printed instead, as JSON.
    """
    from jobpipe.cli.arguments import read_arguments

    wanted = _options(**options)
    if wait_timeout is not None and not wait:
        raise click.UsageError("--wait-timeout needs --wait.")
    application = choices.application(tasks=True, acts=True)
    args = read_arguments(application.task_named(task).signature, pairs, json_args)
    job: Job[Any] = application.enqueue_named(task, args, **wanted)
    out = choices.out()
    if wait:
        return _wait(application, job, wait_timeout, out)
    if not out.is_text:
        out.json(application.job_view(job.id))
    elif out.on_terminal:
        out.line(f"{job.id}  {job.state}")
    else:
        out.line(str(job.id))
    return exits.OK


def _options(
    *,
    queue: str | None,
    priority: int | None,
    delay: timedelta | None,
    at: datetime | None,
    key: str | None,
    unique: str | None,
    max_attempts: int | None,
    timeout: timedelta | None,
    tenant: str | None,
    group: str | None,
    concurrency: int | str | None,
    rate: str | None,
) -> dict[str, Any]:
    if delay is not None and at is not None:
        raise click.UsageError("--in and --at exclude each other.")
    wanted = {
        "queue_name": queue,
        "priority": priority,
        "run_after": at if delay is None else delay,
        "idempotency_key": key,
        "unique": unique,
        "max_attempts": max_attempts,
        "timeout": timeout,
        "tenant": tenant,
        "group": group,
        "concurrency": False if concurrency == NONE else concurrency,
        "rate": False if rate == NONE else rate,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _wait(application: Jobpipe, job: Job[Any], timeout: float | None, out: Output) -> int:
    """Wait for the end of a job, show what it came to, and return its exit code."""
    code = exits.OK
    try:
        click.echo(f"Job {job.id} is {job.state}; waiting for its end.", err=True)
        job.result(timeout)
    except KeyboardInterrupt:
        click.echo(f"Job {job.id} goes on: jobpipe job show {job.id}", err=True)
        raise
    except (JobFailed, JobCancelled, WaitTimeout) as error:
        tell_error(error)
        code = exits.exit_code(error)
    view = application.job_view(job.id)
    if not out.is_text:
        out.json(view)
    elif code == exits.OK:
        click.echo(to_json(view.result))
    return code
