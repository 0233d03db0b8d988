"""What explain asks, and what sets jobs aside, stays on indexes however many jobs wait."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from jobpipe.store import statements
from jobpipe.store.binding import sqlite_parts
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore
from jobpipe.store.sqlite.driver import SqliteStore
from jobpipe.store.statements import PARAMETER

SQLITE = statements.load("jobpipe.store.sqlite", "jobpipe_")
POSTGRESQL = dialect.load("jobpipe")
ROWS = 50_000
LARGE = {"job", "gate_job", "line", "let_go", "edge", "aside"}
FILL = f"""
ALTER TABLE jobpipe.job DISABLE TRIGGER USER;
INSERT INTO jobpipe.job (
    id, task, queue, priority, args, created_at, max_attempts, max_losses, state, shelf, marks
)
SELECT id, 't', 'default', 0, '{{}}', 1, 5, 3, 'blocked', 'blocked', 1
FROM generate_series(1, {ROWS}) AS id;
ALTER TABLE jobpipe.job ENABLE TRIGGER USER;
INSERT INTO jobpipe.gate_job (job_id, kind, key, place, line)
SELECT id, 'concurrency', 'mail', id, 0 FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.line (job_id, queue, tenant, urgency)
SELECT id, 'default', 'gold', 0 FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.let_go (job_id, queue, tenant, token)
SELECT id, 'q' || id % 50, 'gold', 0 FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.edge (child_id, parent_id, need)
SELECT id + 1, id, 'success' FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.aside (task, job_id) SELECT 't', id FROM generate_series(1, {ROWS}) AS id;
"""
IDS = list(range(500, 1_000))
GATE = {"kind": "concurrency", "key": "mail"}
CASES: dict[str, dict[str, Any]] = {
    "gate_holders": {**GATE, "limit": 10},
    "line_before": {**GATE, "line": 0, "place": 25_000, "bound": 10_000},
    "turn_before": {"id": 25_000, "bound": 10_000},
    "at_gates": {"queue": "q7", "tenant": "gold", "limit": 10},
    "open_parents": {"id": 25_000, "limit": 10},
    "set_aside": {"id": IDS, "token": [1] * len(IDS)},
    "send_to_gate": {"id": IDS, "token": [1] * len(IDS)},
    "look_at": {"ids": IDS},
}


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    PostgresStore(postgres_url, POSTGRESQL).migrate()
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        yield connection


def fill_unknown(connection: psycopg.Connection[Any]) -> None:
    """Fill tables that nobody ever looked at."""
    for table in LARGE:
        connection.execute(f"ALTER TABLE jobpipe.{table} SET (autovacuum_enabled = false)".encode())
    connection.execute(FILL.encode())


def fill_and_analyze(connection: psycopg.Connection[Any]) -> None:
    """Fill tables and take statistics."""
    fill_unknown(connection)
    connection.execute("ANALYZE")


@pytest.mark.parametrize("fill", [fill_unknown, fill_and_analyze])
def test_postgresql_walks_no_more_than_it_is_asked_for(
    connection: psycopg.Connection[Any], fill: Any
) -> None:
    fill(connection)
    faults = []
    for name, values in CASES.items():
        text = f"PREPARE check_{name} AS {POSTGRESQL.dollar[name].sql}"
        connection.execute(text.encode(), prepare=False)
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute(f"SET plan_cache_mode = {mode}".encode())
            for node in walk(plan_of(connection, name, values)):
                of = node.get("Relation Name")
                if node["Node Type"] == "Seq Scan" and of in LARGE:
                    faults.append(f"{name}, {mode}: scans the whole {of} table")
                # What a batch asks for may be sorted by id; that is no more than was given. Nor are
                # those of a queue many that had their turn and have not started.
                if "Sort" in node["Node Type"] and name not in ("send_to_gate", "at_gates"):
                    faults.append(f"{name}, {mode}: sorts by {node['Sort Key']}")
    assert faults == []


def test_postgresql_counts_who_stands_before_without_a_look_at_those_behind(
    connection: psycopg.Connection[Any],
) -> None:
    fill_and_analyze(connection)
    values = {**CASES["line_before"], "place": 10}
    query = as_query(connection, "line_before", values)
    row = connection.execute(
        sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}").format(query)
    ).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 50  # of thousands


def as_query(
    connection: psycopg.Connection[Any], name: str, values: dict[str, Any]
) -> sql.Composed:
    text = f"PREPARE see_{name} AS {POSTGRESQL.dollar[name].sql}"
    connection.execute(text.encode(), prepare=False)
    return execution(f"see_{name}", name, values)


def execution(prepared: str, name: str, values: dict[str, Any]) -> sql.Composed:
    given = {"clock_shift": 0, **values}
    literals = [sql.Literal(given[each]) for each in POSTGRESQL.dollar[name].parameters]
    return sql.SQL("EXECUTE {} ({})").format(sql.Identifier(prepared), sql.SQL(", ").join(literals))


def plan_of(
    connection: psycopg.Connection[Any], name: str, values: dict[str, Any]
) -> dict[str, Any]:
    query = execution(f"check_{name}", name, values)
    row = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(query)).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node.get("Plans", []):
        yield from walk(part)


@pytest.mark.parametrize("name", CASES)
def test_sqlite_walks_no_more_than_it_is_asked_for(tmp_path: Path, name: str) -> None:
    SqliteStore(str(tmp_path / "jobs.db")).migrate()
    nothing = dict.fromkeys(PARAMETER.findall(SQLITE[name]))
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
        lines = [
            row[3]
            for part in sqlite_parts(SQLITE[name])
            for row in connection.execute(f"EXPLAIN QUERY PLAN {part}", nothing)
        ]
    whole = re.compile(r"SCAN (j|w|l|a|e|own|jobpipe_(job|gate_job|line|edge|aside))\b")
    assert [line for line in lines if whole.match(line)] == []
    assert [line for line in lines if "ORDER BY" in line] == []
