"""Shows views: tables on a terminal, aligned plain text in a pipe, JSON where it is asked for.

Text from the store is escaped, so that it can neither colour nor move what stands around it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import click

from jobpipe.cli import times
from jobpipe.telemetry.escape import escape, escape_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

V = TypeVar("V")

MAX_CELL = 2_000
"""Longest value shown as text, in characters; JSON output shows all."""

NARROWEST_TEXT = 12
"""To this width a column of text may be folded."""

STATE_STYLES = {
    "succeeded": "green",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
    "failed": "red",
    "lost": "red",
    "timed_out": "red",
    "running": "cyan",
    "queued": "blue",
    "retrying": "yellow",
    "paused": "yellow",
    "parked": "magenta",
    "cancelled": "dim",
}


@dataclass(frozen=True, slots=True)
class Column(Generic[V]):
    """One column of a list: its title and what it shows of a view."""

    title: str
    value: Callable[[V], Any]
    kind: Literal["text", "number", "time", "state"] = "text"


class Output:
    """Standard output in the form that the user chose."""

    def __init__(self, form: str, colour: bool) -> None:
        self.form = form
        self.colour = colour

    @property
    def is_text(self) -> bool:
        return self.form == "text"

    @cached_property
    def console(self) -> Console | None:
        """A terminal to draw on, or None where plain text belongs."""
        from rich.console import Console

        console = Console(no_color=None if self.colour else True, highlight=False)
        if console.no_color and console.is_terminal:  # then no escape sequence at all
            return Console(color_system=None, highlight=False, force_terminal=True)
        return console if console.is_terminal else None

    @property
    def on_terminal(self) -> bool:
        """Tell whether a person looks on: the question needs no console."""
        return sys.stdout is not None and sys.stdout.isatty()

    def json(self, value: Any) -> None:
        """Write one value as JSON: indented, or on one line for ``jsonl``; UTF-8 whatever else."""
        click.echo(to_json(value, indent=self.form != "jsonl").encode())

    def line(self, text: str) -> None:
        """Write one line of text, escaped."""
        click.echo(escape(text))

    def listing(
        self,
        columns: Sequence[Column[V]],
        items: Sequence[V],
        *,
        page: Any = None,
        empty: str = "",
    ) -> None:
        """Write a list; ``page`` is its JSON form, when that says more than the items."""
        if self.form == "json":
            self.json({"items": items, "next_cursor": None} if page is None else page)
        elif self.form == "jsonl":
            for item in items:
                self.json(item)
        elif items:
            self.table(columns, items)
        elif empty:
            click.echo(empty, err=True)

    def table(self, columns: Sequence[Column[V]], items: Sequence[V]) -> None:
        """Write rows under headings."""
        if self.console is None:
            click.echo("\n".join(_aligned(columns, _rows(columns, items, person=False))))
        else:
            self.console.print(self.grid(columns, items))

    def grid(self, columns: Sequence[Column[V]], items: Sequence[V]) -> RenderableType:
        """Return rows under headings as a terminal shows them; in a narrow one, row by row."""
        rows = _rows(columns, items, person=True)
        if self.console is not None and _least_width(columns, rows) > self.console.width:
            return _stacked(columns, rows)
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(
                column.title,
                justify="right" if column.kind == "number" else "left",
                no_wrap=column.kind != "text",
                overflow="fold",
            )
        for row in rows:
            table.add_row(
                *(
                    Text(text, style=_style(column, text))
                    for column, text in zip(columns, row, strict=True)
                )
            )
        return table

    def note(self, mark: str, name: str, *lines: str) -> None:
        """Write a marked sentence under its name, and the lines that belong to it, wrapped."""
        texts = [escape(line) for line in lines if line]
        if self.console is None:
            click.echo("\n    ".join([f"{mark}  {name}", *texts]))
            return
        from rich.padding import Padding
        from rich.text import Text

        style = STATE_STYLES.get(mark, "")
        self.console.print(Text.assemble((mark, style), "  ", (name, "bold")))
        for text in texts:
            self.console.print(Padding(Text(text), (0, 0, 0, 4)))

    def card(self, facts: Sequence[tuple[str, str]]) -> None:
        """Write names and values, one a line; a value may have more lines."""
        width = max(len(name) for name, _ in facts)
        for name, value in facts:
            indented = value.replace("\n", "\n" + " " * (width + 2))
            label = name.ljust(width)
            if self.console is None:
                click.echo(f"{label}  {indented}")
            else:
                from rich.text import Text

                style = STATE_STYLES.get(value, "") if name == "state" else ""
                text = Text.assemble((label, "bold"), "  ", (indented, style))
                self.console.print(text, soft_wrap=True)


def to_json(value: Any, *, indent: bool = False) -> str:
    """Return a view as JSON that is safe to look at on a terminal."""
    import json

    import msgspec

    try:
        text = msgspec.json.encode(value)
        shown = msgspec.json.format(text, indent=2) if indent else text
        return escape_json(shown.decode())
    except UnicodeEncodeError:  # a lone surrogate in a stored result
        plain = msgspec.to_builtins(value, str_keys=True)
        return json.dumps(plain, indent=2 if indent else None)


def brief(value: Any) -> str:
    """Return a value as one line of escaped JSON, shortened when it is very long."""
    text = escape(to_json(value))
    if len(text) <= MAX_CELL:
        return text
    return f"{text[:MAX_CELL]}... ({len(text)} characters; -o json shows all)"


def _rows(columns: Sequence[Column[V]], items: Sequence[V], *, person: bool) -> list[list[str]]:
    return [[_cell(column, item, person) for column in columns] for item in items]


def _cell(column: Column[V], item: V, person: bool) -> str:
    value = column.value(item)
    if value is None or value == "":
        return "-"
    if column.kind == "time" and person:
        return times.ago(str(value))
    return escape(str(value))[:MAX_CELL]


def _aligned(columns: Sequence[Column[Any]], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[column.title for column in columns], *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _least_width(columns: Sequence[Column[Any]], rows: Sequence[Sequence[str]]) -> int:
    """Return the width below which a table would cut off what it shows."""
    widths = []
    for place, column in enumerate(columns):
        longest = max(len(line[place]) for line in [[each.title for each in columns], *rows])
        widths.append(min(longest, NARROWEST_TEXT) if column.kind == "text" else longest)
    return sum(widths) + 2 * (len(widths) - 1)


def _stacked(columns: Sequence[Column[Any]], rows: Sequence[Sequence[str]]) -> RenderableType:
    """Return each row as its titles and values, one after another."""
    from rich.console import Group
    from rich.text import Text

    lines = []
    for row in rows:
        line = Text()
        for column, text in zip(columns, row, strict=True):
            line.append("  " if line else "").append(f"{column.title}=", "bold")
            line.append(text, _style(column, text))
        lines.append(line)
    return Group(*lines)


def _style(column: Column[Any], text: str) -> str:
    return STATE_STYLES.get(text, "") if column.kind == "state" else ""
