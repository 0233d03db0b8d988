"""The PostgreSQL statements in the form each driver sends, loaded once for all of them.

``:now`` becomes an expression on the server's clock that is STABLE, so that an index can serve it,
moved by ``clock_shift`` microseconds. Neither driver is imported here: the adapters for callers'
connections use this too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobpipe.store import statements
from jobpipe.store.binding import array_parameters
from jobpipe.store.port import Statement
from jobpipe.store.statements import Prepared

PACKAGE = "jobpipe.store.postgres"
NOW = re.compile(r"(?<![:\w]):now\b")
NOW_EXPRESSION = (
    "(CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint)"
    " + CAST(:clock_shift AS bigint))"
)
JSON_PARAMETER = re.compile(r"CAST\(\s*(:[a-z_]+)\s+AS\s+(jsonb?)(\[\])?\s*\)", re.IGNORECASE)


def no_shift() -> int:
    """Leave the server's clock as it is."""
    return 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """Every statement twice: with ``$1`` for asyncpg, with ``%(name)s`` for psycopg."""

    schema: str
    dollar: Mapping[str, Prepared]
    percent: Mapping[str, Prepared]
    clock_shift: Callable[[], int] = no_shift

    def values(self, statement: Statement) -> dict[str, Any]:
        """Return the statement's parameters by name."""
        values = array_parameters(statement)
        values["clock_shift"] = self.clock_shift()
        return values

    def arguments(self, statement: Statement, prepared: Prepared) -> list[Any]:
        """Return the values of the statement's parameters, in the order of their numbers."""
        values = self.values(statement)
        return [values[name] for name in prepared.parameters]


def schema_prefix(schema: str) -> str:
    """Return what stands before every table's name."""
    return '"' + schema.replace('"', '""') + '".'


def load(schema: str, clock_shift: Callable[[], int] = no_shift) -> Dialect:
    """Read the dialect's statements for one schema."""
    return of(statements.load(PACKAGE, schema_prefix(schema)), schema, clock_shift)


def of(texts: Mapping[str, str], schema: str, clock_shift: Callable[[], int] = no_shift) -> Dialect:
    """Make a dialect of statements with ``:name`` parameters."""
    plain = {name: _server_text(sql) for name, sql in texts.items()}
    escaped = {name: sql.replace("%", "%%") for name, sql in plain.items()}
    return Dialect(
        schema=schema,
        dollar=statements.prepare(plain, lambda _name, position: f"${position}"),
        percent=statements.prepare(escaped, lambda name, _position: f"%({name})s"),
        clock_shift=clock_shift,
    )


def _server_text(sql: str) -> str:
    # JSON travels as text: a caller's connection may have a JSON codec of its own, which would
    # encode our text a second time.
    as_text = JSON_PARAMETER.sub(
        lambda m: f"CAST(CAST({m[1]} AS text{m[3] or ''}) AS {m[2]}{m[3] or ''})", sql
    )
    return NOW.sub(NOW_EXPRESSION, as_text)
