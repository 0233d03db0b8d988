"""Brings a database file to the schema that this program knows, under the write lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from jobpipe.store.binding import sqlite_parts
from jobpipe.store.migrations import Migration, SchemaStatus, compare, missing, refuse_newer
from jobpipe.store.script import Script
from jobpipe.store.sqlite.connection import begin_write, commit, patiently


def status(
    connection: sqlite3.Connection,
    statements: Mapping[str, Script],
    migrations: tuple[Migration, ...],
) -> SchemaStatus:
    """Tell how far the database is; one without our tables is at version 0."""
    exists = patiently(lambda: _run(connection, statements, "schema_exists"))[0][0]
    applied = (
        patiently(lambda: _run(connection, statements, "applied_migrations")) if exists else []
    )
    return compare([row[0] for row in applied], migrations)


def migrate(
    connection: sqlite3.Connection,
    statements: Mapping[str, Script],
    migrations: tuple[Migration, ...],
    now: int,
) -> tuple[Migration, ...]:
    """Apply what is missing, all or nothing; return it. Raises ConfigError for a newer schema."""
    before = status(connection, statements, migrations)
    refuse_newer(before)
    if not before.pending:
        return ()
    begin_write(connection)
    try:
        inside = status(connection, statements, migrations)
        refuse_newer(inside)
        _run(connection, statements, "create_migrations")
        for step in inside.pending:
            for part in sqlite_parts(step.sql):
                connection.execute(part)
            noted = {"version": step.version, "name": step.name, "now": now}
            connection.execute(statements["note_migration"].parts[0].sql, noted)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    commit(connection)
    return inside.pending


def faults(
    connection: sqlite3.Connection,
    statements: Mapping[str, Script],
    migrations: tuple[Migration, ...],
) -> list[str]:
    """Return in words what is wrong with the schema; empty when all is well."""
    there = {(row[0], row[1]) for row in _run(connection, statements, "schema_parts")}
    return missing(migrations, status(connection, statements, migrations), there)


def _run(
    connection: sqlite3.Connection, statements: Mapping[str, Script], name: str
) -> list[sqlite3.Row]:
    return connection.execute(statements[name].parts[0].sql).fetchall()
