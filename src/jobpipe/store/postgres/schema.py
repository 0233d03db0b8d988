"""Brings a PostgreSQL schema to what this program knows, and looks whether it is whole.

A migration is one transaction under one lock: a process that dies leaves nothing half done, and
of many that start at once one migrates while the others wait and then find it done. Nothing
outlives the transaction, so it also works through a transaction-mode pooler.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from jobpipe.failpoint import failpoint
from jobpipe.model.state import EDGES, FINAL, RERUN
from jobpipe.store.migrations import Migration, SchemaStatus, compare, missing, refuse_newer
from jobpipe.store.migrations import script as migration_script
from jobpipe.store.port import Statement
from jobpipe.store.postgres.dialect import NOW_EXPRESSION, PACKAGE, Dialect, schema_prefix
from jobpipe.store.statements import load

LIMIT_MS = 5_000
"""Longest time that the server may take to tell how far the schema is."""

STEP = re.compile(r"old\.state = '(\w+)'::text\) AND \(new\.state = ANY \(ARRAY\[([^]]*)\]")
RERUN_STEP = re.compile(
    r"old\.state = ANY \(ARRAY\[([^]]*)\]\)\) AND \(new\.state = ANY \(ARRAY\[([^]]*)\]\)\)"
    r" AND \(new\.reruns = \(old\.reruns \+ 1\)\)"
)
WORD = re.compile(r"'(\w+)'")

Connection = psycopg.Connection[dict[str, Any]]
Values = Mapping[str, Any]


def status(
    connection: Connection, dialect: Dialect, migrations: Sequence[Migration]
) -> SchemaStatus:
    """Tell how far the schema is, changing nothing; a missing one is at version 0.

    Whoever asks gets an answer or an error, also while somebody keeps the tables locked.
    """
    with connection.transaction():
        _run(connection, dialect, "limit_wait", {"limit_ms": LIMIT_MS})
        return _status(connection, dialect, migrations)


def _status(
    connection: Connection, dialect: Dialect, migrations: Sequence[Migration]
) -> SchemaStatus:
    there = _run(connection, dialect, "schema_exists", {"schema": dialect.schema})[0]["n"]
    applied = _run(connection, dialect, "applied_migrations") if there else []
    return compare([row["version"] for row in applied], migrations)


def script(schema: str, migrations: Sequence[Migration]) -> str:
    """Return what makes the schema from nothing, for ``psql``."""
    first = ("limit_lock_wait", "lock_schema", "create_schema", "create_migrations")
    quoted = schema.replace("'", "''")
    literals = {"schema": f"'{quoted}'", "now": NOW_EXPRESSION.replace(":clock_shift", "0")}
    return migration_script(load(PACKAGE, schema_prefix(schema)), first, migrations, literals)


def migrate(
    connection: Connection, dialect: Dialect, migrations: Sequence[Migration]
) -> tuple[Migration, ...]:
    """Apply what is missing, all or nothing; return it. Raises ConfigError for a newer schema."""
    before = _status(connection, dialect, migrations)
    refuse_newer(before)
    if not before.pending:
        return ()
    with connection.transaction():
        schema = {"schema": dialect.schema}
        _run(connection, dialect, "lock_schema", schema)
        _run(connection, dialect, "limit_lock_wait", schema)
        inside = _status(connection, dialect, migrations)
        refuse_newer(inside)
        if inside.pending:
            _run(connection, dialect, "create_schema")
            _run(connection, dialect, "create_migrations")
        for step in inside.pending:
            _script(connection, step.sql)
            noted = {"version": step.version, "name": step.name}
            _run(connection, dialect, "note_migration", noted)
            failpoint("migrate", "after_step")
    return inside.pending


def faults(connection: Connection, dialect: Dialect, migrations: Sequence[Migration]) -> list[str]:
    """Return in words what is wrong with the schema; empty when all is well.

    Whoever asks gets an answer or an error, as with ``status``.
    """
    schema = {"schema": dialect.schema}
    with connection.transaction():
        _run(connection, dialect, "limit_wait", {"limit_ms": LIMIT_MS})
        parts = _run(connection, dialect, "schema_parts", schema)
        there = {(row["kind"], row["name"]) for row in parts}
        found = missing(migrations, _status(connection, dialect, migrations), there)
        for row in _run(connection, dialect, "invalid_indexes", schema):
            found.append(f"the index {row['name']} is not valid: REINDEX it")
        for row in _run(connection, dialect, "unproven_constraints", schema):
            found.append(f"the constraint {row['name']} was never validated")
        for row in _run(connection, dialect, "edges", schema):
            found += _edge_faults(row["definition"])
    return found


def _edge_faults(definition: str) -> list[str]:
    steps = {before: _words(after) for before, after in STEP.findall(definition)}
    reruns = [(_words(before), _words(after)) for before, after in RERUN_STEP.findall(definition)]
    wanted = {str(before): set(map(str, after)) for before, after in EDGES.items() if after}
    if steps != wanted or reruns != [(set(map(str, FINAL)), set(map(str, RERUN)))]:
        return ["the trigger job_edges allows other changes of state than this Jobpipe"]
    return []


def _words(array: str) -> set[str]:
    return set(WORD.findall(array))


def _run(
    connection: Connection, dialect: Dialect, name: str, params: Values | None = None
) -> list[dict[str, Any]]:
    prepared = dialect.percent[name]
    values = dialect.values(Statement(name, params or {})) if prepared.parameters else None
    cursor = connection.execute(prepared.sql.encode(), values, prepare=False)
    return cursor.fetchall() if cursor.description else []


def _script(connection: Connection, sql: str) -> None:
    # Without parameters the whole script travels as one message, which may hold many statements.
    connection.execute(sql.encode(), prepare=False)
