"""The statements of gates stay on their indexes, with a hundred thousand jobs in lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from tests.integration.plans import STATISTICS, Cases, connection, faults, fill, sqlite_plan

__all__ = ["connection"]

ROWS = 100_000
BATCH = list(range(1, 51))

KINDS, KEYS = ["concurrency"] * len(BATCH), [f"k{number}" for number in BATCH]
NAMED = {"kind": KINDS, "key": KEYS}
NONE = [None] * len(BATCH)
FILL = f"""
ALTER TABLE jobpipe.job DISABLE TRIGGER USER;
INSERT INTO jobpipe.job (
    id, task, queue, priority, args, created_at, max_attempts, max_losses, state, shelf, marks
)
SELECT id, 'mail', 'default', 0, '{{}}', 1, 5, 3, 'blocked', 'blocked', 1
FROM generate_series(1, {ROWS}) AS id;
ALTER TABLE jobpipe.job ENABLE TRIGGER USER;
INSERT INTO jobpipe.gate_job (job_id, kind, key, place, line, token)
SELECT
    id, 'concurrency', 'k' || id % 5000, id, CASE WHEN id % 10 > 0 THEN 0 END,
    CASE WHEN id % 10 = 0 THEN 0 END
FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.gate (kind, key, next_at)
SELECT 'concurrency', 'k' || id, CASE WHEN id % 10 = 0 THEN id END
FROM generate_series(1, 50000) AS id;
INSERT INTO jobpipe.look (job_id) SELECT generate_series(1, {ROWS});
INSERT INTO jobpipe.arrival (job_id, queue, tenant)
SELECT id, 'default', 't' || id / 10 FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.flow (id, kind, policy, total, created_at, due_at)
SELECT {ROWS} + id, 'chain', 'skip', 2, 1, CASE WHEN id % 100 = 0 THEN id END
FROM generate_series(1, {ROWS}) AS id;
"""
LARGE = {"job", "gate_job", "gate", "look", "arrival", "flow"}
CASES: Cases = {
    "look_at": ({"ids": BATCH}, {"job_pkey", "gate_job_pkey"}),
    "take_looks": ({"since": 5, "limit": 1000}, {"look_pkey", "job_pkey", "gate_job_pkey"}),
    "hold_admission": ({}, {"gate_next", "arrival_next", "flow_due"}),
    "read_gates": (NAMED, {"gate_pkey", "gate_job_held", "gate_job_line", "job_pkey"}),
    "line_heads": (
        {**NAMED, "most": 4},
        {"gate_job_line", "gate_job_pkey", "job_pkey"},
    ),
    "note_gate_jobs": (
        {**NAMED, "job_id": BATCH, "place": BATCH, "line": NONE, "token": BATCH},
        {"gate_job_pkey"},
    ),
    "note_gates": ({**NAMED, "next_at": NONE, "full_at": BATCH, "fail_to": NONE}, {"gate_pkey"}),
    "due_gates": ({"limit": 1000}, {"gate_next"}),
    "next_gate": ({}, {"gate_next"}),
    "stale_holds": (
        {**NAMED, "unclaimed_us": 1, "limit": 1000},
        {"gate_job_held", "gate_job_line", "job_pkey"},
    ),
    "give_up": ({"ids": BATCH}, {"job_pkey", "gate_job_pkey"}),
    "line_until": (
        {"kind": "concurrency", "key": "k1", "place": 9, "limit": 1000},
        {"gate_job_line"},
    ),
    "cancel_blocked": ({"ids": BATCH, "reason": "by_flow"}, {"job_pkey"}),
    "note_blocked": ({"id": BATCH, "gate": KEYS}, {"job_pkey"}),
    "slow_gate": ({"id": 7, "shut_us": 1}, {"gate_job_pkey"}),
    "gate_keys": ({"kind": "concurrency", "key": "k1", "limit": 1000}, {"gate_pkey"}),
    "prune_gates": (NAMED, {"gate_pkey", "gate_job_held", "gate_job_line"}),
}


@STATISTICS
def test_statements_of_gates_stay_on_their_indexes(
    connection: psycopg.Connection[Any], statistics: str
) -> None:
    fill(connection, FILL, statistics, LARGE)
    assert faults(connection, CASES, LARGE) == []


SQLITE_INDEXES: dict[LiteralString, set[str]] = {
    "look_at": set(),
    "take_looks": set(),
    "hold_admission": {"jobpipe_gate_next", "jobpipe_flow_due"},
    "read_gates": {"jobpipe_gate_job_held", "jobpipe_gate_job_line"},
    "line_heads": {"jobpipe_gate_job_line"},
    "note_gate_jobs": set(),
    "note_gates": set(),
    "due_gates": {"jobpipe_gate_next"},
    "next_gate": {"jobpipe_gate_next"},
    "stale_holds": {"jobpipe_gate_job_held", "jobpipe_gate_job_line"},
    "line_until": {"jobpipe_gate_job_line"},
    "gate_keys": set(),
    "prune_gates": {"jobpipe_gate_job_held", "jobpipe_gate_job_line"},
}
"""What a statement uses beside the key."""


@pytest.mark.parametrize("name", SQLITE_INDEXES)
def test_sqlite_plans_of_gates_stay_on_their_indexes(tmp_path: Path, name: str) -> None:
    lines = sqlite_plan(tmp_path, name)
    # Whether there is an arrival is asked of the first row that there is.
    tables = "j|w|h|held|jobpipe_(job|gate|gate_job|look)"
    scans = re.compile(rf"SCAN (({tables})( AS \w+)?$|jobpipe_flow)")
    assert [line for line in lines if scans.match(line)] == []
    assert [line for line in lines if "FOR ORDER BY" in line] == []
    used = {
        found for line in lines for found in re.findall(r"INDEX (jobpipe_(?:gate|flow)_\w+)", line)
    }
    assert used - {"jobpipe_gate"} == SQLITE_INDEXES[name]
