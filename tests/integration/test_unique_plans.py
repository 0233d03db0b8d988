"""The statements of unique keys stay on their indexes, among a hundred thousand jobs with keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.plans import STATISTICS, Cases, connection, faults, fill, sqlite_plan

__all__ = ["connection"]

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
CASES: Cases = {
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


@STATISTICS
def test_statements_of_keys_stay_on_their_indexes(
    connection: psycopg.Connection[Any], statistics: str
) -> None:
    fill(connection, FILL, statistics, LARGE)
    assert faults(connection, CASES, LARGE) == []


@pytest.mark.parametrize("name", sorted(CASES))
def test_sqlite_statements_of_keys_stay_on_their_indexes(name: str, tmp_path: Path) -> None:
    lines = sqlite_plan(tmp_path, name)
    whole = re.compile(r"SCAN (j|h|held|jobpipe_(job|held_key))( AS \w+)?$")
    assert [line for line in lines if whole.match(line)] == []
