"""Guards over plans: what statements read whole, and which indexes they leave, on large tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobpipe.store.binding import sqlite_parts
from jobpipe.store.postgres.driver import PostgresStore
from jobpipe.store.sqlite.driver import SqliteStore
from jobpipe.store.statements import PARAMETER
from tests.integration.test_plans import POSTGRESQL, SQLITE, explain, prepare, walk

Cases = Mapping[str, tuple[dict[str, Any], set[str]]]
"""Values for each statement, and the indexes that its plan has to use."""

STATISTICS = pytest.mark.parametrize("statistics", ["fresh", "none", "wrong"])


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty store."""
    PostgresStore(postgres_url, POSTGRESQL).migrate()
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        yield connection


def fill(
    connection: psycopg.Connection[Any], rows: str, statistics: str, large: Collection[str]
) -> None:
    """Fill the store; ``wrong`` statistics are those of the empty one."""
    for table in large:
        connection.execute(f"ALTER TABLE jobpipe.{table} SET (autovacuum_enabled = false)".encode())
    if statistics == "wrong":
        connection.execute("VACUUM ANALYZE")
    connection.execute(rows.encode())
    if statistics == "fresh":
        connection.execute("ANALYZE")


def faults(
    connection: psycopg.Connection[Any], cases: Cases, large: Collection[str]
) -> list[tuple[str, str, set[str], set[str]]]:
    """Return for plans made for the values, and for any values: large tables that are read whole,
    and indexes that are left aside."""
    found = []
    for name, (values, indexes) in cases.items():
        prepare(connection, name)
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute(f"SET plan_cache_mode = {mode}".encode())
            nodes = [node for node, _ in walk(explain(connection, name, values))]
            used = {node["Index Name"] for node in nodes if "Index Name" in node}
            read = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
            if read & set(large) or indexes - used:
                found.append((name, mode, read & set(large), indexes - used))
    return found


def sqlite_plan(folder: Path, name: str) -> list[str]:
    """Return the lines of SQLite's plan for a statement."""
    SqliteStore(str(folder / "jobs.db")).migrate()
    nothing = dict.fromkeys(PARAMETER.findall(SQLITE[name]))
    with closing(sqlite3.connect(folder / "jobs.db", isolation_level=None)) as store:
        return [
            row[3]
            for part in sqlite_parts(SQLITE[name])
            for row in store.execute(f"EXPLAIN QUERY PLAN {part}", nothing)
        ]
