"""``jobpipe job watch``: one job as it goes, live on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.output import STATE_STYLES, Output
from jobpipe.cli.types import job_id
from jobpipe.cli.verbs.job_logs import CODES, LOOK_SECONDS, LogReader
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from rich.text import Text

    from jobpipe.app.log_views import LogView

BAR_WIDTH = 24


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is seen of a job at one look."""

    id: int
    task: str
    state: State
    reason: Reason | None
    attempt: int
    max_attempts: int
    progress: Any
    error: str | None
    """Of the last attempt: type and first line."""
    last_line: LogView | None


@click.command(
    "watch",
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe job watch 42
      jobpipe job watch 42 -o jsonl     one object whenever something has changed
    """,
)
@click.argument("id", type=job_id)
@setting_flags(*STORE)
@pass_choices
def job_watch(choices: Choices, id: int) -> int:
    """Show a job's state, progress and last line until it ends; exit with its end.

    On a terminal one line that changes; otherwise a line, or an object, a change. Where an attempt
    has failed, its error stands in place of the last line. Progress is the newest that was said,
    also by an attempt before.
    """
    out = choices.out()
    sights = look_on(LogReader(choices.application(), id))
    last = _live(out, sights) if out.is_text and out.console else _line_by_line(out, sights)
    return CODES.get(last.state, exits.OK)


def look_on(reader: LogReader) -> Iterator[Sight]:
    """Return the job as it is seen whenever it has changed, until it has ended."""
    from jobpipe.app.views import job_view

    before: Sight | None = None
    line: LogView | None = None
    while True:
        record = reader.look()
        for newest in reader.new_lines():
            line = newest
        view = job_view(record)
        sight = Sight(
            id=view.id,
            task=view.task,
            state=view.state,
            reason=view.reason,
            attempt=view.attempt,
            max_attempts=view.max_attempts,
            progress=view.progress,
            error=error_line(view.error) or None,
            last_line=line,
        )
        if sight != before:
            yield sight
        if record.state in FINAL:
            return
        before = sight
        time.sleep(LOOK_SECONDS)


def error_line(error: Any) -> str:
    """Return the type of an error, and the first line of its message."""
    if isinstance(error, dict):
        parts = [str(error[part]) for part in ("type", "message") if error.get(part)]
        return ": ".join(parts).split("\n", 1)[0]
    return "" if error is None else str(error).split("\n", 1)[0]


def _line_by_line(out: Output, sights: Iterator[Sight]) -> Sight:
    def show(sight: Sight) -> None:
        if out.is_text:
            click.echo("  ".join(_parts(sight)))
        elif out.form == "jsonl":
            out.json(sight)

    last = _show_each(sights, show)
    if out.form == "json":
        out.json(last)
    return last


def _live(out: Output, sights: Iterator[Sight]) -> Sight:
    from rich.live import Live

    with Live(console=out.console, auto_refresh=False) as live:
        return _show_each(sights, lambda sight: live.update(_drawn(sight), refresh=True))


def _show_each(sights: Iterator[Sight], show: Callable[[Sight], None]) -> Sight:
    """Show each and return the last; there is always one."""
    sight = next(sights)
    show(sight)
    for sight in sights:
        show(sight)
    return sight


def _drawn(sight: Sight) -> Text:
    from rich.text import Text

    first, *others = _parts(sight)
    style = STATE_STYLES.get(sight.state.value, "")
    return Text.assemble(
        (first, style), *(f"  {each}" for each in others), no_wrap=True, overflow="ellipsis"
    )


def _parts(sight: Sight) -> list[str]:
    """Return what is told of a job, most important first."""
    state = sight.state.value if sight.reason is None else f"{sight.state} ({sight.reason})"
    parts = [state, f"attempt {sight.attempt}/{sight.max_attempts}"]
    if sight.progress is not None:
        parts += _progress(**sight.progress)
    if sight.error is not None and sight.state is not State.RUNNING:
        parts.append(sight.error)
    elif sight.last_line is not None:
        parts.append(f"{sight.last_line.level}: {sight.last_line.message}")
    return [escape(each) for each in parts]


def _progress(done: float, total: float | None, note: str | None) -> list[str]:
    if total:
        share = min(1.0, max(0.0, done / total))
        bar = ("#" * round(share * BAR_WIDTH)).ljust(BAR_WIDTH, "-")
        parts = [f"[{bar}] {share:.0%}", f"{_figure(done)}/{_figure(total)}"]
    else:
        parts = [_figure(done)]
    return [*parts, *([note] if note else [])]


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
