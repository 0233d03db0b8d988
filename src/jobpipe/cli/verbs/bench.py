"""``jobpipe bench``: a rough figure of this machine and its store, in ten seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import Verb, setting_flags
from jobpipe.cli.output import Column, Output

if TYPE_CHECKING:
    from jobpipe.cli.measure import Bench, Figure

COLUMNS: list[Column[Figure]] = [
    Column("FIGURE", lambda figure: figure.name),
    Column("VALUE", lambda figure: f"{figure.value:,.10g}", "number"),
    Column("UNIT", lambda figure: figure.unit),
]


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe bench
      jobpipe bench --url postgresql://me@db/jobs -o json
    """,
)
@setting_flags("pooler", "listen_url", "concurrency")
@pass_choices
def bench(choices: Choices) -> None:
    """Measure enqueue, run and pickup here, in about ten seconds.

    The store is a temporary SQLite file; with --url it is a schema of its own on that server
    (dropped at the end, also after Ctrl-C), or a temporary file beside the file that is named.
    Jobs that exist are never touched.
    """
    from jobpipe.cli.measure import measure, throw_away
    from jobpipe.telemetry.log import set_up_logging

    set_up_logging("warning", "auto")  # a worker that comes and goes is no news here
    out = choices.out()
    settings = {name: value for name, value in choices.flags.items() if name != "url"}
    url = choices.flags.get("url")
    exits.leave_on_sigterm()
    with throw_away(url, settings) as application:
        place = url or "a temporary SQLite file"
        result = measure(application, place, lambda step: click.echo(f"{step} ...", err=True))
    _show(out, result)


def _show(out: Output, result: Bench) -> None:
    if not out.is_text:
        out.json(result)
        return
    out.table(COLUMNS, result.figures)
    click.echo()
    out.line(f"{result.store}, {result.version}, {result.durability}")
    out.line(f"{result.cpus} CPUs, Python {result.python}")
    out.line(result.note)
