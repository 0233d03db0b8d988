"""``jobpipe top``: a live view of queues, workers, slow and failing tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import exits, times
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.keys import END, keys
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.output import Column, Output
from jobpipe.cli.types import span
from jobpipe.errors import StoreUnavailable
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from rich.console import Console, Group

    from jobpipe.app.overview import FailingTask, LoadWatch, Overview, QueueLoad, SlowTask
    from jobpipe.app.overview import WorkerLoad as Worker

SHORTEST_SECONDS = 0.1

QUEUES: list[Column[QueueLoad]] = [
    Column("QUEUE", lambda queue: queue.name),
    Column("QUEUED", lambda queue: _bounded(queue.queued), "number"),
    Column("RUN", lambda queue: queue.running, "number"),
    Column("LATER", lambda queue: queue.scheduled + queue.retrying, "number"),
    Column("START/S", lambda queue: queue.per_second and queue.per_second.started, "number"),
    Column("OK/S", lambda queue: queue.per_second and queue.per_second.succeeded, "number"),
    Column("FAIL/S", lambda queue: queue.per_second and queue.per_second.failed, "number"),
    Column("OLDEST", lambda queue: _took(queue.oldest_wait_seconds), "number"),
    Column("TAKEN", lambda queue: "paused" if queue.paused else "ok", "state"),
]

WORKERS: list[Column[Worker]] = [
    Column("WORKER", lambda worker: worker.name),
    Column("PID", lambda worker: worker.pid, "number"),
    Column("BUSY", lambda worker: f"{worker.busy}/{worker.slots}", "number"),
    Column("LEASE", lambda worker: worker.lease, "state"),
    Column("QUEUES", lambda worker: _joined(worker.queues)),
]

SLOWEST: list[Column[SlowTask]] = [
    Column("SLOWEST", lambda task: task.task),
    Column("RUNS", lambda task: task.runs, "number"),
    Column("RUNNING", lambda task: task.running, "number"),
    Column("MEAN", lambda task: _took(task.mean_seconds), "number"),
    Column("LONGEST", lambda task: _took(task.longest_seconds), "number"),
]

FAILING: list[Column[FailingTask]] = [
    Column("FAILING", lambda task: task.task),
    Column("FAILED", lambda task: task.failed, "number"),
    Column("RETRYING", lambda task: task.retrying, "number"),
]


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe top                       q or Ctrl-C ends it
      jobpipe top --once --every 10s    one frame, with rates over ten seconds
      jobpipe top -o json | jq '.queues[] | {name, queued, oldest_wait_seconds}'
    """,
)
@click.option(
    "--every",
    type=span,
    default="1s",
    metavar="SPAN",
    help="How often to look: 1s when not given; rates are over this span.",
)
@click.option("--once", is_flag=True, help="Print one frame and end, as in a pipe.")
@setting_flags(*STORE)
@pass_choices
def top(choices: Choices, every: timedelta, once: bool) -> None:
    """Watch queues, rates, waits, workers, and the slowest and the failing tasks.

    Durations and failures are those of a sample: the newest jobs that ended in the last ten
    minutes, and what runs.
    """
    seconds = max(SHORTEST_SECONDS, every.total_seconds())
    out = choices.out()
    watch = choices.application().load_watch()
    if not out.is_text:
        out.json(_second(watch, seconds))
    elif once or not out.on_terminal or out.console is None:
        _print(out, _second(watch, seconds))
    else:
        _live(out, out.console, watch, seconds)


def _second(watch: LoadWatch, seconds: float) -> Overview:
    """Look twice, so that there are rates."""
    watch.look()
    with keys() as pressed:
        pressed(seconds)
    return watch.look()


def _print(out: Output, overview: Overview) -> None:
    first = True
    for columns, items in _parts(overview):
        if not first:
            click.echo()
        first = False
        out.table(columns, items)


def _parts(overview: Overview) -> list[tuple[list[Column[Any]], Sequence[Any]]]:
    return [
        (QUEUES, overview.queues),
        (WORKERS, overview.workers),
        (SLOWEST, overview.slowest),
        (FAILING, overview.failing),
    ]


def _live(out: Output, console: Console, watch: LoadWatch, seconds: float) -> None:
    from rich.live import Live

    exits.leave_on_sigterm()  # or the terminal would be left as we made it
    trouble, shown = "", watch.look()
    try:
        with keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_frame(out, console, shown, trouble), refresh=True)
                if pressed(seconds) in ("q", END):
                    return
                try:
                    trouble, shown = "", watch.look()
                except StoreUnavailable as error:
                    trouble = escape(str(error))
    except KeyboardInterrupt:
        return


def _frame(out: Output, console: Console, overview: Overview, trouble: str) -> Group:
    """Fit the tables to the height of the terminal; queues come first."""
    from rich.console import Group
    from rich.text import Text

    head = f"jobpipe top  {overview.time}  q ends"
    shown: list[Any] = [Text(trouble or head, style="red" if trouble else "bold", no_wrap=True)]
    room = console.size.height - 1
    parts = [part for part in _parts(overview) if part[1]] or _parts(overview)[:1]
    for number, (columns, items) in enumerate(parts):
        rows = max(1, min(len(items), room // (len(parts) - number) - 2))
        room -= rows + 2
        shown += [Text(""), out.grid(columns, items[:rows])]
    return Group(*shown)


def _bounded(count: int) -> str:
    from jobpipe.app.overview import BOUND

    return f"{BOUND}+" if count >= BOUND else str(count)


def _took(seconds: float | None) -> str:
    return "" if seconds is None else times.span(seconds)


def _joined(queues: Any) -> str:
    return ",".join(map(str, queues)) if isinstance(queues, list) else str(queues)
