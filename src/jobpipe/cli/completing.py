"""What a shell may complete: names of tasks and queues, ids of jobs.

A person waits meanwhile: an application has LONGEST_SECONDS to be loaded and to answer, then the
store is asked without it, as long. Whatever goes wrong means that nothing is offered. Nothing is
written: no schema, no file, no line on the terminal.
"""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, shell_complete

from jobpipe.cli.choices import Choices
from jobpipe.config.completion import VARIABLE

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe
    from jobpipe.tasks.job import Job

LONGEST_SECONDS = 1.0
NEWEST_JOBS = 50

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def answer(root: click.Command, program: str, instruction: str) -> int:
    """Write what the shell asks for; return the exit code."""
    try:
        return shell_complete(root, {"obj": Choices()}, program, VARIABLE, instruction)
    except click.ClickException:  # a misspelt verb stands before the word to complete
        return 0


def tasks(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the name of a task."""
    return _matching(incomplete, _asked(context, known_tasks))


def queues(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Complete the name of a queue."""
    return _matching(incomplete, _asked(context, known_queues))


def queue_list(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Complete the last one of several queues: ``mail:10,def``."""
    before, comma, last = incomplete.rpartition(",")
    names = _asked(context, known_queues)
    return [CompletionItem(f"{before}{comma}{name}") for name in names if name.startswith(last)]


def jobs(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the id of a job: the newest, with their states and tasks."""
    found = _asked(context, _newest_jobs)
    return [
        CompletionItem(str(job.id), help=f"{job.state} {job.record.task if job.record else ''}")
        for job in found
        if str(job.id).startswith(incomplete)
    ]


def _matching(incomplete: str, names: Iterable[str]) -> list[CompletionItem[str]]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def known_tasks(application: Jobpipe) -> list[str]:
    """Return the tasks that are declared, and those of the newest jobs."""
    known = {task.name for task in application.registry}
    return sorted(known.union(application.task_names()) if _usable(application) else known)


def known_queues(application: Jobpipe) -> list[str]:
    """Return the queues that tasks name, and those that the store knows."""
    known = {task.spec.queue for task in application.registry}
    if _usable(application):
        known.update(queue.name for queue in application.queues())
    return sorted(known)


def _newest_jobs(application: Jobpipe) -> list[Job[Any]]:
    return application.jobs(limit=NEWEST_JOBS) if _usable(application) else []


def _usable(application: Jobpipe) -> bool:
    """Tell whether the store can be read without changing it first."""
    if application.is_service:
        return True
    status = application.schema_status()
    return status.current == status.known


def _asked(context: click.Context, question: Callable[[Jobpipe], list[Any]]) -> list[Any]:
    """Return what the application answers, or what the store alone does; nothing on any error."""
    choices = context.find_object(Choices) or Choices()
    silence = io.StringIO()
    with redirect_stdout(silence), redirect_stderr(silence), context.scope(cleanup=False):
        for place in (choices.app, "none"):
            choices.app = place
            with suppress(Exception, SystemExit), _at_most(LONGEST_SECONDS):
                application = choices.application()
                try:
                    return question(application)
                finally:
                    application.close()
    return []


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _give_up(_number: int, _frame: object) -> None:
    raise TimeoutError
