"""``jobpipe worker`` runs jobs; ``jobpipe worker-list`` tells who else does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.output import Column
from jobpipe.cli.verbs.config import WORKER
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from jobpipe.app.views import WorkerView
    from jobpipe.config.settings import Settings

COLUMNS: list[Column[WorkerView]] = [
    Column("ID", lambda worker: worker.id, "number"),
    Column("NAME", lambda worker: worker.name),
    Column("PID", lambda worker: worker.pid, "number"),
    Column("SLOTS", lambda worker: worker.slots, "number"),
    Column("QUEUES", lambda worker: _queues(worker.queues)),
    Column("STARTED", lambda worker: worker.started_at, "time"),
    Column("SEEN", lambda worker: worker.seen_at, "time"),
    Column("LEASE", lambda worker: "expired" if worker.expired else "ok", "state"),
]


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe worker app:jp
      jobpipe worker app.py -q mail:10,default -c 20
      jobpipe worker --processes 4      four processes under one supervisor
      jobpipe worker --burst            run what may run now, then end

    \b
    SIGTERM or Ctrl-C stops taking jobs, lets the running ones end within the grace
    (--shutdown-seconds), gives back the rest uncharged, and exits 0; a second one stops at once.
    SIGTSTP (Ctrl-Z) stops taking jobs until SIGCONT; SIGUSR1 shows the stacks of all processes.
    """,
)
@click.argument("place", metavar="[APP]", required=False)
@click.option("--name", metavar="NAME", help="A label of this worker, for people.")
@click.option("--burst", is_flag=True, help="End when no job may run now.")
@setting_flags(*WORKER, short=[("queues", "-q"), ("concurrency", "-c")])
@pass_choices
def worker(choices: Choices, place: str | None, name: str | None, burst: bool) -> int:
    """Run the jobs of an application until stopped.

    APP is module:attribute, or a path such as app.py when the file holds one application.
    """
    if place is not None:
        if choices.app not in (None, place):
            raise click.UsageError("The application is named twice: as APP and by --app.")
        choices.app = place
    if name:
        _check_name(name)
    if choices.child_of is None:
        return _supervise(choices, burst=burst, name=name)
    from jobpipe.runtime.supervisor.child import take_seat

    seat = take_seat(choices.child_of)
    application = choices.application(tasks=True)
    if seat.welcome.greets:
        click.echo(_greeting(application.settings, len(application.registry)), err=True)
        if not len(application.registry):
            click.echo("Warning: no tasks are declared, so every job it takes is parked.", err=True)
    return application.run_worker(burst=burst, name=seat.welcome.name, seat=seat)


def _check_name(name: str) -> None:
    from jobpipe.tasks.options import refusal
    from jobpipe.tasks.spec import NAME_ALLOWED, is_name

    if not is_name(name):
        raise refusal("name", name, NAME_ALLOWED)


def _supervise(choices: Choices, *, burst: bool, name: str | None) -> int:
    """Start workers with the same arguments, and look after them."""
    from jobpipe.config.load import load_settings
    from jobpipe.config.urls import is_service
    from jobpipe.runtime.supervisor.launch import Command, Launcher

    settings = load_settings(choices.flags)
    if is_service(settings.url):
        from jobpipe.bootstrap import service

        service(settings).store("a worker")
    is_script = not sys.argv[0].endswith("__main__.py")
    launcher = Launcher(Command(choices.arguments, is_script))
    launcher.launch_ahead()  # it imports what it needs while we do
    from jobpipe.bootstrap import watch_kit
    from jobpipe.config.service import read_service_manager
    from jobpipe.runtime.supervisor.facts import store_settings
    from jobpipe.runtime.supervisor.supervisor import Plan, Supervisor
    from jobpipe.telemetry.log import set_up_logging

    set_up_logging(settings.log_level, settings.log_format)
    plan = Plan(
        launcher=launcher,
        settings=settings,
        connect=lambda facts: watch_kit(store_settings(settings, facts)),
        name=name,
        burst=burst,
        manager=read_service_manager(),
    )
    return Supervisor(plan).run()


@click.command("worker-list", cls=Verb)
@setting_flags(*STORE)
@pass_choices
def worker_list(choices: Choices) -> None:
    """List the workers that have not ended."""
    from jobpipe.app.views import worker_view

    workers = [worker_view(record) for record in choices.application().workers()]
    choices.out().listing(COLUMNS, workers, empty="No workers.")


def _greeting(settings: Settings, tasks: int) -> str:
    from jobpipe.config.mask import mask_url
    from jobpipe.config.values import format_queues

    return escape(
        f"Jobpipe worker: {tasks} tasks, store {mask_url(settings.url)},"
        f" queues {format_queues(settings.queues)}, {settings.concurrency} slots"
    )


def _queues(queues: Any) -> str:
    return ",".join(str(each) for each in queues) if isinstance(queues, list) else str(queues)
