"""``jobpipe job logs`` and ``job watch``: what a job says, also while it runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.cli.output import Output, brief
from jobpipe.cli.types import job_id
from jobpipe.model.state import FINAL, State
from jobpipe.telemetry.escape import escape, escape_block

if TYPE_CHECKING:
    from jobpipe.app.log_views import LogView
    from jobpipe.application import Jobpipe
    from jobpipe.model.job import JobRecord

LOOK_SECONDS = 0.2
"""Time between two looks at a job that is followed."""

PAGE_LINES = 1_000

CODES = {State.FAILED: exits.JOB_FAILED, State.CANCELLED: exits.JOB_CANCELLED}


@click.command(
    "logs",
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe job logs 42
      jobpipe job logs 42 -f            follow it until the job has ended
      jobpipe job logs 42 --attempt 1 --tail 20
      jobpipe job logs 42 -o jsonl | jq -r .message
    """,
)
@click.argument("id", type=job_id)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends; exit with its end.")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Only that attempt's lines.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines so far.")
@setting_flags(*STORE)
@pass_choices
def job_logs(choices: Choices, id: int, follow: bool, attempt: int | None, tail: int | None) -> int:
    """Show what a job has said: `time level logger: message fields`."""
    out = choices.out()
    if follow and out.form == "json":
        raise click.UsageError("-f writes line by line: use -o jsonl.")
    reader = LogReader(choices.application(), id, attempt)
    record = reader.look()
    lines = deque(reader.new_lines(), maxlen=tail)
    if out.form == "json":
        out.json({"items": list(lines), "next_cursor": None})
    shown = Shown(out)
    if out.form != "json":
        shown.lines(lines)
    if not follow:
        if out.is_text and not reader.lines_read:
            click.echo("No lines.", err=True)
        return exits.OK
    while record.state not in FINAL:
        time.sleep(LOOK_SECONDS)
        record = reader.look()  # before the lines: those of an attempt are there before its end
        shown.lines(reader.new_lines())
    return CODES.get(record.state, exits.OK)


class LogReader:
    """Reads a job, and each line of its log once."""

    def __init__(self, application: Jobpipe, id: int, attempt: int | None = None) -> None:
        self._application = application
        self._id = id
        self._wanted = attempt
        self._after = (0, 0)
        self._numbers: dict[int, int] = {}
        self.lines_read = 0

    def look(self) -> JobRecord:
        """Return the job as it stands; raises JobNotFound."""
        record = self._application.job(self._id).record
        assert record is not None  # a handle that was looked up has been read
        if record.token not in self._numbers:
            self._learn(record)
        return record

    def new_lines(self) -> Iterator[LogView]:
        """Return the lines that were not read yet."""
        from jobpipe.app.log_views import log_view

        while page := self._application.logs(self._id, self._after, PAGE_LINES):
            self._after = (page[-1].token, page[-1].number)
            for line in page:
                if line.token not in self._numbers:
                    self.look()
                number = self._numbers.get(line.token)
                if self._wanted in (None, number):
                    self.lines_read += 1
                    yield log_view(self._id, number, line)
            if len(page) < PAGE_LINES:
                break

    def _learn(self, record: JobRecord) -> None:
        """Learn which attempt each token belongs to."""
        from jobpipe.app.views import attempt_views

        attempts = attempt_views(record, self._application.attempts(self._id))
        self._numbers |= {each.token: each.number for each in attempts}


class Shown:
    """Lines as they are written to standard output."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._token: int | None = None

    def lines(self, lines: Any) -> None:
        """Write lines; between two attempts a note for people stands on standard error."""
        for line in lines:
            if not self._out.is_text:
                self._out.json(line)
                continue
            if self._token not in (None, line.token):
                click.echo(f"-- attempt {line.attempt or '?'} --", err=True)
            self._token = line.token
            click.echo("\n".join(as_text(line)))


def as_text(line: LogView) -> list[str]:
    """Return a line for people; the traceback of an exception stands below it."""
    fields = dict(line.fields) if isinstance(line.fields, dict) else {}
    error = fields.pop("error", None)
    trace = error.get("traceback") if isinstance(error, dict) else None
    text = f"{line.time} {line.level} {line.logger}: {line.message}"
    said = [
        f"{name}={value if isinstance(value, str) else brief(value)}"
        for name, value in fields.items()
    ]
    below = escape_block(trace) if isinstance(trace, str) else []
    return [escape(" ".join([text, *said])), *[f"  {each}" for each in below]]
