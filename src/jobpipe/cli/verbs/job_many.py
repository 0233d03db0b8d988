"""What ``jobpipe job cancel|rerun|delete|move`` do when a filter names the jobs: an operation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices
from jobpipe.cli.output import Output
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from jobpipe.app.operation import Operation
    from jobpipe.application import Jobpipe

F = TypeVar("F", bound=Callable[..., Any])

LOOK_SECONDS = 0.2
"""Time between two looks at an operation that is waited for."""
WORKER_SECONDS = 2.0
"""Time between two looks whether anybody is there to carry it out."""

CODES = {
    "done": exits.OK,
    "cancelled": exits.FAILED,
    "failed": exits.FAILED,
}
NOBODY = (
    "No worker and no service lives, so nobody carries out operation {id} until one starts:"
    " jobpipe worker"
)


def by_filter(*, preview: Sequence[str] = ("--preview",)) -> Callable[[F], F]:
    """Give a verb about jobs the options with which a filter names them."""

    def decorate(function: F) -> F:
        for option in (
            click.option("--wait", is_flag=True, help="With -f: wait until all is done."),
            click.option(
                *preview, "preview", is_flag=True, help="Only tell what would be done, with -f."
            ),
            click.option(
                "-f",
                "--filter",
                "terms",
                metavar="FILTER",
                help="All jobs that it means, in place of ids: state:failed task:app.* age>1d.",
            ),
        ):
            function = option(function)
        return function

    return decorate


def check_named(ids: Sequence[int], terms: str | None, *only_with_filter: bool) -> None:
    """Refuse a verb that names no jobs, or names them twice; raises UsageError."""
    if ids and terms is not None:
        raise click.UsageError("Name the jobs by ids or by -f FILTER, not by both.")
    if not ids and terms is None:
        raise click.UsageError("Name the jobs: ID..., or -f FILTER.")
    if ids and any(only_with_filter):
        raise click.UsageError("--preview and --wait need -f FILTER.")


def carry_out(choices: Choices, order: Callable[[Jobpipe], Operation], *, wait: bool) -> int:
    """Give an order, or look at what it would do; show it, and return the exit code."""
    application = choices.application(acts=True)
    begun = order(application)
    out = choices.out()
    if begun.state == "preview":
        show_operation(out, begun)
        return exits.OK
    if wait:
        return wait_for(application, begun, out)
    show_operation(out, begun)
    if not _somebody_lives(application):
        click.echo(NOBODY.format(id=begun.id), err=True)
    return exits.OK


def wait_for(application: Jobpipe, operation: Operation, out: Output) -> int:
    """Wait for the end of an operation as long as somebody is there; show it."""
    looked = float("-inf")
    while operation.refresh().state == "running":
        if time.monotonic() - looked > WORKER_SECONDS:
            if not _somebody_lives(application):
                show_operation(out, operation)
                click.echo(NOBODY.format(id=operation.id), err=True)
                return exits.UNHEALTHY
            looked = time.monotonic()
        time.sleep(LOOK_SECONDS)
    show_operation(out, operation)
    return CODES[operation.state]


def show_operation(out: Output, operation: Operation) -> None:
    """Show an operation, or a preview of one."""
    from jobpipe.app.operation_views import operation_view

    if not out.is_text:
        out.json(operation_view(operation.record))
    elif operation.state == "preview":
        plus = "+" if operation.more else ""
        out.line(
            f"{operation.matched:,}{plus} jobs are meant: {operation.changed:,} would take the"
            f" order, {operation.refused:,} would refuse"
        )
        if operation.first_ids:
            dots = " ..." if operation.matched > len(operation.first_ids) else ""
            out.line(f"the first: {' '.join(map(str, operation.first_ids))}{dots}")
    else:
        sums = f"{operation.changed:,} of {operation.matched:,} jobs"
        refused = f", {operation.refused:,} refused" if operation.refused else ""
        out.line(f"{operation.id}  {operation.state}  {operation.record.action}: {sums}{refused}")
        if operation.record.error:
            click.echo(escape(operation.record.error), err=True)


def _somebody_lives(application: Jobpipe) -> bool:
    return any(not worker.expired for worker in application.workers())
