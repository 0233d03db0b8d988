"""How a ``Statement`` becomes what a driver binds, on each dialect.

SQLite sees lists and batches as JSON texts and runs a script part by part; PostgreSQL sees
arrays, one a column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from jobpipe.store.port import Statement

_json = msgspec.json.Encoder()


@lru_cache(maxsize=1024)
def sqlite_parts(sql: str) -> tuple[str, ...]:
    """Split a script at each ``;`` that ends a line and a complete statement."""
    parts: list[str] = []
    lines: list[str] = []
    for line in sql.splitlines():
        lines.append(line)
        part = "\n".join(lines)
        if line.rstrip().endswith(";") and sqlite3.complete_statement(part):
            parts.append(part.strip())
            lines.clear()
    rest = "\n".join(lines).strip()
    return (*parts, rest) if rest else tuple(parts)


def sqlite_parameters(statement: Statement, names: Iterable[str], now: int) -> dict[str, Any]:
    """Return the values of ``names``: lists and the batch (``:rows``) as JSON, ``:now`` as ``now``.

    Raises KeyError when the statement lacks a parameter that its SQL names.
    """
    given = statement.params
    values: dict[str, Any] = {}
    for name in names:
        if name == "now" and name not in given:
            values[name] = now
        elif name == "rows" and statement.batch is not None:
            values[name] = _json.encode(statement.batch.rows).decode()
        else:
            value = given[name]
            is_array = isinstance(value, (list, tuple))
            values[name] = _json.encode(value).decode() if is_array else value
    return values


def array_parameters(statement: Statement) -> dict[str, Any]:
    """Return the parameters with the batch turned into one list a column, empty where it is plain.

    An array costs its sender for each element, also for each NULL.
    """
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in statement.params.items()
    }
    batch = statement.batch
    if batch is not None:
        columns = zip(*batch.rows, strict=True) if batch.rows else (() for _ in batch.columns)
        plain = batch.plain or (None,) * len(batch.columns)
        for name, column, value in zip(batch.columns, columns, plain, strict=True):
            values[name] = [] if column.count(value) == len(column) else list(column)
    return values
