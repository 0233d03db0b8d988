"""The statements of unique keys stay on their indexes, among a hundred thousand jobs with keys."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
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

ROWS = 100_000
BATCH = list(range(1, 501))
KEYS = [f"k{number}" for number in BATCH]
NONE = [None] * len(BATCH)
FILL = f"""
ALTER TABLE jobpipe.job DISABLE TRIGGER USER;
INSERT INTO jobpipe.job (
    id, task, queue, priority, args, created_at, max_attempts, max_losses, state, rank,
    finished_at, unique_key, waiting_key
)
SELECT
    id, 'mail', 'default', 0, '{{}}', 1, 5, 3,
    CASE WHEN id % 2 = 0 THEN 'queued' ELSE 'succeeded' END, CASE WHEN id % 2 = 0 THEN id END,
    CASE WHEN id % 2 = 1 THEN 1 END, 'k' || id, CASE WHEN id % 2 = 0 THEN 'k' || id END
FROM generate_series(1, {ROWS}) AS id;
ALTER TABLE jobpipe.job ENABLE TRIGGER USER;
INSERT INTO jobpipe.held_key (job_id, key, holds)
SELECT id, 'k' || id / 4, id % 4 = 3 FROM generate_series(1, {ROWS}) AS id;
"""
LARGE = {"job", "held_key"}
CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "hold_waiting": ({"keys": KEYS}, {"job_waiting_key"}),
    "hold_unique_keys": ({"job_id": BATCH, "key": KEYS, "for_us": NONE}, set()),
    "read_held_keys": ({"keys": KEYS}, {"held_key_holds", "job_pkey"}),
    "free_held_keys": ({"ids": BATCH}, {"held_key_pkey", "job_pkey"}),
    "own_held_key": ({"id": 7}, {"held_key_pkey"}),
    "replace_waiting": (
        {
            "id": BATCH,
            "args": KEYS,
            "version": NONE,
            "delay_us": NONE,
            "run_at": NONE,
            "expires_in_us": NONE,
        },
        {"job_pkey"},
    ),
    "old_jobs": ({"after": 7, "limit": 1000}, {"job_pkey", "held_key_pkey"}),
}


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    PostgresStore(postgres_url, POSTGRESQL).migrate()
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        yield connection


@pytest.mark.parametrize("statistics", ["fresh", "none", "wrong"])
def test_statements_of_keys_stay_on_their_indexes(
    connection: psycopg.Connection[Any], statistics: str
) -> None:
    """A plan made for the values, and one made for any values."""
    for table in LARGE:
        connection.execute(f"ALTER TABLE jobpipe.{table} SET (autovacuum_enabled = false)".encode())
    if statistics == "wrong":
        connection.execute("VACUUM ANALYZE")
    connection.execute(FILL.encode())
    if statistics == "fresh":
        connection.execute("ANALYZE")
    faults = []
    for name, (values, indexes) in CASES.items():
        prepare(connection, name)
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute(f"SET plan_cache_mode = {mode}".encode())
            nodes = [node for node, _ in walk(explain(connection, name, values))]
            scans = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
            used = {node["Index Name"] for node in nodes if "Index Name" in node}
            if LARGE & set(scans) or not indexes <= used:
                faults.append((name, mode, scans, used))
    assert faults == []


@pytest.mark.parametrize("name", sorted(CASES))
def test_sqlite_statements_of_keys_stay_on_their_indexes(name: str, tmp_path: Path) -> None:
    SqliteStore(str(tmp_path / "jobs.db")).migrate()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as file:
        nothing = dict.fromkeys(PARAMETER.findall(SQLITE[name]))
        lines = [
            row[3]
            for part in sqlite_parts(SQLITE[name])
            for row in file.execute(f"EXPLAIN QUERY PLAN {part}", nothing)
        ]
    whole = re.compile(r"SCAN (j|h|held|jobpipe_(job|held_key))( AS \w+)?$")
    assert [line for line in lines if whole.match(line)] == []
