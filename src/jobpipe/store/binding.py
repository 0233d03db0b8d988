"""How a ``Statement`` becomes what a driver binds, on each dialect.

SQLite sees lists and batches as JSON texts and runs a script part by part; PostgreSQL sees
arrays, one a column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec

from jobpipe.store.port import VARIES, Batch, Statement

ROWS, PLAIN, PLAIN_IDS = "rows", "plain", "plain_ids"
"""What a script reads its batch from, see ``port.Batch``."""

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


def sqlite_parameters(statement: Statement, names: Collection[str], now: int) -> dict[str, Any]:
    """Return the values of ``names``: lists and the batch as JSON, ``:now`` as ``now``.

    Raises KeyError when the statement lacks a parameter that its SQL names.
    """
    given = statement.params
    values: dict[str, Any] = {} if statement.batch is None else _texts(statement.batch, names)
    for name in names:
        if name == "now" and name not in given:
            values[name] = now
        elif name not in values:
            value = given[name]
            is_array = isinstance(value, (list, tuple))
            values[name] = _json.encode(value).decode() if is_array else value
    return values


def _texts(batch: Batch, names: Collection[str]) -> dict[str, str]:
    """Return the batch as JSON texts, parted if the names ask for that."""
    if PLAIN not in names:
        return {ROWS: _json.encode(batch.rows).decode()}
    said = [(index, value) for index, value in enumerate(batch.plain) if value is not VARIES]
    of, expected = itemgetter(*(index for index, _ in said)), tuple(value for _, value in said)
    rest = itemgetter(*(index for index, value in enumerate(batch.plain) if value is VARIES))
    plain, others = [], []
    for row in batch.rows:
        if of(row) == expected:
            plain.append(rest(row))
        else:
            others.append(row)
    texts = {ROWS: others, PLAIN: plain, PLAIN_IDS: [row[0] for row in plain]}
    return {name: _json.encode(rows).decode() for name, rows in texts.items()}


def array_parameters(statement: Statement) -> dict[str, Any]:
    """Return the parameters with the batch turned into one list a column, empty where it is plain.

    An array costs its sender for each element, also for each NULL.
    """
    values = dict(statement.params)
    for name, value in statement.params.items():
        if type(value) is tuple:
            values[name] = list(value)
    batch = statement.batch
    if batch is not None:
        columns = zip(*batch.rows, strict=True) if batch.rows else (() for _ in batch.columns)
        plain = batch.plain or (VARIES,) * len(batch.columns)
        for name, column, value in zip(batch.columns, columns, plain, strict=True):
            usual = None if value is VARIES else value
            values[name] = [] if column.count(usual) == len(column) else list(column)
    return values
