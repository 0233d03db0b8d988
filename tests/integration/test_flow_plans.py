"""The statements of flows stay on their indexes, with a hundred thousand nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.plans import STATISTICS, Cases, connection, faults, fill, sqlite_plan

__all__ = ["connection"]

ROWS = 100_000
BATCH = list(range(1, 501))
NONE = [None] * len(BATCH)
FILL = f"""
ALTER TABLE jobpipe.job DISABLE TRIGGER USER;
INSERT INTO jobpipe.job (
    id, task, queue, priority, args, created_at, max_attempts, max_losses, state, shelf, marks
)
SELECT id, 'mail', 'default', 0, '{{}}', 1, 5, 3, 'blocked', 'blocked', 12
FROM generate_series(1, {ROWS}) AS id;
ALTER TABLE jobpipe.job ENABLE TRIGGER USER;
INSERT INTO jobpipe.flow (id, kind, policy, total, created_at, due_at)
SELECT {ROWS} + id, 'chain', 'skip', 2, 1, CASE WHEN id % 100 = 0 THEN id END
FROM generate_series(1, {ROWS} / 2) AS id;
INSERT INTO jobpipe.member (node_id, flow_id, role, waits)
SELECT id, {ROWS} + (id + 1) / 2, 'node', id % 2 FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.edge (child_id, parent_id, need, met)
SELECT id, id - 1, 'success', id < {ROWS} / 2 FROM generate_series(2, {ROWS}) AS id;
INSERT INTO jobpipe.place (child_id, pointer, parent_id)
SELECT id, '/a', id - 1 FROM generate_series(2, {ROWS}) AS id;
INSERT INTO jobpipe.growth SELECT {ROWS} + id, 1 FROM generate_series(1, 10000) AS id;
"""
LARGE = {"job", "flow", "member", "edge", "place"}
"""Growth is folded again and again, so it stays small."""
CASES: Cases = {
    "note_rerun": ({"id": 7}, {"job_pkey"}),
    "read_nodes": ({"ids": BATCH}, {"member_pkey"}),
    "read_flows": ({"ids": BATCH, "late": 100}, {"flow_pkey", "flow_due"}),
    "settle_nodes": ({"id": BATCH, "settled": NONE}, {"member_pkey"}),
    "take_growth": ({"ids": BATCH}, set()),
    "count_flows": (
        {
            "id": BATCH,
            "total": BATCH,
            "succeeded": BATCH,
            "failed": BATCH,
            "cancelled": BATCH,
        },
        {"flow_pkey"},
    ),
    "end_flows": ({"id": BATCH, "state": ["failed"] * len(BATCH)}, {"flow_pkey"}),
    "stop_flows": ({"ids": BATCH, "ending": "by_user"}, {"flow_pkey"}),
    "reopen_flows": ({"ids": BATCH}, {"flow_pkey"}),
    "note_sweep": ({"id": 7, "sweep": None, "position": 7}, {"flow_pkey"}),
    "flow_slice": ({"id": 7, "after": 0, "limit": 1000}, {"member_flow"}),
    "flow_callbacks": ({"id": 7}, {"member_flow"}),
    "open_edges_below": ({"ids": BATCH, "limit": 1000}, {"edge_open"}),
    "open_edges_above": ({"ids": BATCH, "limit": 1000}, {"edge_pkey", "member_pkey"}),
    "meet_edges": ({"child_id": BATCH, "parent_id": BATCH}, {"edge_pkey"}),
    "lower_waits": ({"id": BATCH, "n": BATCH}, {"member_pkey"}),
    "raise_waits": ({"ids": BATCH}, {"edge_pkey", "member_pkey"}),
    "cancel_by_flow": ({"ids": BATCH}, {"job_pkey"}),
    "request_cancels": ({"ids": BATCH}, {"job_pkey"}),
    "rerun_nodes": ({"ids": BATCH}, {"job_pkey"}),
    "count_places": ({"ids": BATCH}, {"place_pkey"}),
    "measure_args": ({"ids": BATCH}, {"place_pkey", "job_pkey"}),
    "fail_handed": ({"id": BATCH, "error": ["{}"] * len(BATCH)}, {"job_pkey"}),
    "read_places": ({"ids": BATCH}, {"place_pkey", "job_pkey"}),
    "read_args": ({"ids": BATCH}, {"job_pkey"}),
    "fill_args": ({"id": BATCH, "args": ["{}"] * len(BATCH)}, {"job_pkey"}),
    "flow": ({"id": 7}, {"flow_pkey", "member_pkey", "growth_flow"}),
    "newest_flows": (
        {"before": 2**62, "state": None, "limit": 50},
        {"flow_pkey", "member_pkey", "growth_flow"},
    ),
    "flow_members": (
        {"id": 7, "after": 0, "limit": 50},
        {"member_flow", "job_pkey", "flow_pkey"},
    ),
    "kept_by_flows": ({"ids": BATCH}, {"member_pkey", "flow_pkey"}),
    "forget_nodes": ({"ids": BATCH}, {"edge_pkey", "place_pkey", "member_pkey"}),
    "forget_flows": ({"ids": BATCH}, {"flow_pkey", "member_flow"}),
    "prune_empty_flows": ({"age_us": 1, "limit": 1000}, {"flow_empty", "flow_pkey", "member_flow"}),
}


@STATISTICS
def test_statements_of_flows_stay_on_their_indexes(
    connection: psycopg.Connection[Any], statistics: str
) -> None:
    fill(connection, FILL, statistics, LARGE)
    assert faults(connection, CASES, LARGE) == []


@pytest.mark.parametrize("name", sorted(CASES))
def test_sqlite_reads_no_table_of_flows_as_a_whole(tmp_path: Path, name: str) -> None:
    whole = [line for line in sqlite_plan(tmp_path, name) if line.startswith("SCAN ")]
    aliases = {"f", "m", "e", "p", "j", "parent"}
    tables = {f"jobpipe_{table}" for table in LARGE} | aliases
    assert [scan for scan in whole if scan.split()[1] in tables] == []
