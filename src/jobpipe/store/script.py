"""Runs a statement of the SQLite dialect, which is a script: its parts in turn on one cursor.

What a script answers are the rows of all its parts. A part whose first column is ``GATHERED``
answers many rows as one, a JSON array a column: fetching a row lets the interpreter go and asks for
it again, and beside a busy loop each time may take milliseconds.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from jobpipe.store.binding import PLAIN, ROWS, sqlite_parameters, sqlite_parts
from jobpipe.store.port import Statement
from jobpipe.store.statements import PARAMETER

GATHERED = "json_group_array("

_array = msgspec.json.Decoder(list[object])


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of SQL."""

    sql: str
    is_gathered: bool
    half: str | None
    """The half of a parted batch that it reads: it is left out when that one is empty."""


@dataclass(frozen=True, slots=True)
class Script:
    """One statement of the dialect: the parts that run in turn and the parameters they name."""

    parts: tuple[Part, ...]
    names: tuple[str, ...]


@lru_cache(maxsize=1024)
def script(sql: str) -> Script:
    """Take a statement apart."""
    names = tuple(dict.fromkeys(PARAMETER.findall(sql)))
    is_parted = PLAIN in names
    return Script(
        tuple(
            Part(
                text,
                text.partition(" ")[2].startswith(GATHERED),
                _half(text) if is_parted else None,
            )
            for text in sqlite_parts(sql)
        ),
        names,
    )


def execute(
    cursor: sqlite3.Cursor, script: Script, statement: Statement, now: int
) -> list[sqlite3.Row]:
    """Run the parts; the cursor's rows are ``sqlite3.Row``."""
    parameters = sqlite_parameters(statement, script.names, now)
    answer: list[sqlite3.Row] = []
    for part in script.parts:
        if part.half is not None and parameters[part.half] == "[]":
            continue
        rows = cursor.execute(part.sql, parameters).fetchall()
        if rows:
            answer += _spread(cursor, rows[0]) if part.is_gathered else rows
    return answer


def _half(sql: str) -> str | None:
    found = PARAMETER.findall(sql)
    return next((name for name in (PLAIN, ROWS) if any(n.startswith(name) for n in found)), None)


def _spread(cursor: sqlite3.Cursor, gathered: sqlite3.Row) -> list[sqlite3.Row]:
    """Return the rows that a gathered answer stands for, of the cursor's kind."""
    columns = map(_array.decode, gathered)
    make: Any = cursor.row_factory
    return [make(cursor, values) for values in zip(*columns, strict=True)]
