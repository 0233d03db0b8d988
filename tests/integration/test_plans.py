"""The statements of both dialects: the same names, all used, all sound, and on their indexes.

The plans are looked at with fresh, no and wrong statistics, and both as a plan made for the values
and as one made for any values: a server chooses between these by itself.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

import jobpipe.store
from jobpipe.model.job import Claimed, Lane, NewJob
from jobpipe.model.worker import NewWorker
from jobpipe.store import statements
from jobpipe.store.binding import sqlite_parts
from jobpipe.store.ops.claim import claim
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.worker import register
from jobpipe.store.port import Batch, Statement
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore
from jobpipe.store.script import script
from jobpipe.store.sqlite.driver import SqliteStore
from jobpipe.store.statements import PARAMETER
from jobpipe.store.stepping import step

SQLITE = statements.load("jobpipe.store.sqlite", "jobpipe_")
POSTGRESQL = dialect.load("jobpipe")
ONLY_POSTGRESQL = {
    "left_behind",
    "notify",
    "store_exists",
    "lock_schema",
    "limit_lock_wait",
    "create_schema",
    "invalid_indexes",
    "unproven_constraints",
    "edges",
    "limit_wait",
    "drop_bench_schema",
    "server",
    "old_snapshots",
    "unvacuumed",
}
UTILITY = {"create_schema", "create_migrations", "drop_bench_schema"}
"""Statements that PostgreSQL runs without a plan, so that it cannot prepare them."""

ROWS = 100_000
BATCH = list(range(ROWS, ROWS + 500))
FILL = f"""
INSERT INTO jobpipe.lane VALUES ('default', 0), ('mail', 10);
INSERT INTO jobpipe.claim (worker_id, job_ids, tokens, ranks)
SELECT 1, ARRAY[id, id + 1], ARRAY[1, 1], ARRAY[id, id + 1] FROM generate_series(1, 500, 2) AS id;
ALTER TABLE jobpipe.job DISABLE TRIGGER USER;
INSERT INTO jobpipe.job (
    id, task, queue, priority, args, created_at, max_attempts, max_losses, token,
    state, rank, due_at, finished_at, expires_at
)
SELECT
    id, 'mail.welcome', CASE id % 4 WHEN 0 THEN 'mail' ELSE 'default' END,
    CASE id % 4 WHEN 0 THEN 10 ELSE 0 END, '{{"a":1}}', 1, 5, 3, 1,
    CASE WHEN id <= {ROWS} THEN 'succeeded' WHEN id % 10 = 0 THEN 'scheduled' ELSE 'queued' END,
    CASE WHEN id > {ROWS} AND id % 10 <> 0 THEN id END,
    CASE WHEN id > {ROWS} AND id % 10 = 0 THEN id END,
    CASE WHEN id <= {ROWS} THEN 1 END,
    CASE WHEN id % 100 = 1 THEN id END
FROM generate_series(1, 2 * {ROWS}) AS id;
ALTER TABLE jobpipe.job ENABLE TRIGGER USER;
INSERT INTO jobpipe.log (job_id, token, number, at, level, logger, message)
SELECT 1 + id / 5, 1, id % 5, 1, 20, 'app', 'line' FROM generate_series(0, {ROWS}) AS id;
INSERT INTO jobpipe.progress SELECT id, 1, 1, 5, 10, 'half' FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.checkpoint SELECT id, 1, 1, '1' FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.attempt (job_id, token, number, outcome)
SELECT id, 1, 1, 'failed' FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.audit (at, who, via, action, job_id)
SELECT 1, 'ada', 'http', 'enqueue', CASE WHEN id % 2 = 0 THEN id END
FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.tenant (queue, name, tag, since, waiting)
SELECT 'default', 't' || id, id, id, CASE WHEN id % 5 = 0 THEN 0 ELSE 10 END
FROM generate_series(1, 20000) AS id;
INSERT INTO jobpipe.line (job_id, queue, tenant, urgency)
SELECT id, 'default', 't' || id / 10, 0 FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.arrival (job_id, queue, tenant)
SELECT id, 'default', 't' || id / 10 FROM generate_series(1, {ROWS}) AS id;
INSERT INTO jobpipe.let_go (job_id, queue, tenant, token)
SELECT id, 'default', 't' || id, 0 FROM generate_series(1, 1000) AS id;
"""
LARGE = {"job", "log", "progress", "checkpoint", "attempt", "audit", "line", "tenant", "arrival"}
"""The tables that are never read as a whole."""

NONE = [None] * len(BATCH)
LANE_BATCH = Batch(("queue", "priority", "after"), [("default", 0, 0)])
LANES = {"queue": ["mail", "default"], "priority": [10, 0], "after": [0, 0]}
HELD = {"id": BATCH, "token": [1] * len(BATCH)}
SAID = {"job_id": BATCH, "token": [1] * len(BATCH)}
PATCHED = {
    "id": 7,
    "queue": "mail",
    "priority": 10,
    "state": "queued",
    "run_at": None,
    "due_at": None,
    "queued_at": 1,
    "keeps_rank": False,
    "args": None,
    "version": None,
}
TENANTS = [f"t{id}" for id in BATCH]
OF_TENANTS = {"queue": ["default"] * len(BATCH), "tenant": TENANTS}
CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "claim": (
        {**LANES, "limit": 500, "worker": 1, "done": [1, 2]},
        {"job_claim", "job_pkey", "checkpoint_pkey"},
    ),
    "peek": (LANES, {"job_claim"}),
    "left_behind": ({**LANES, "until": [50_000, 50_000], "limit": 500}, {"job_claim"}),
    "finish": (
        {
            **HELD,
            "state": ["succeeded"] * len(BATCH),
            "reason": NONE,
            "outcome": ["succeeded"] * len(BATCH),
            "result": ["1"] * len(BATCH),
            "error": NONE,
            "delay_us": NONE,
            "charged": [True] * len(BATCH),
            "duration_us": [5] * len(BATCH),
            "age_us": [5] * len(BATCH),
        },
        {"job_pkey"},
    ),
    "give_back": (
        {**HELD, "rank": BATCH, "started": True, "suspect": True},
        {"job_pkey"},
    ),
    "take_back": ({"worker": 1, "error": "{}"}, {"job_pkey"}),
    "end_worker": ({"worker": 1}, {"job_pkey"}),
    "inventory": ({"worker": 1}, {"job_pkey"}),
    "write_lines": (
        {
            **SAID,
            "number": [1] * len(BATCH),
            "age_us": [5] * len(BATCH),
            "level": [20] * len(BATCH),
            "logger": ["app"] * len(BATCH),
            "message": ["line"] * len(BATCH),
            "fields": NONE,
        },
        {"job_pkey"},
    ),
    "write_progress": (
        {**SAID, "done": [1.5] * len(BATCH), "total": NONE, "note": NONE},
        {"job_pkey"},
    ),
    "save_checkpoints": ({**SAID, "state": ["1"] * len(BATCH)}, {"job_pkey"}),
    "read_log": (
        {"job_id": 7, "from_token": 0, "from_number": 0, "last_token": 2**62, "limit": 1000},
        {"log_pkey"},
    ),
    "job": ({"id": 7}, {"job_pkey", "progress_pkey"}),
    "prune": (
        {"ids": BATCH},
        {"job_pkey", "log_pkey", "progress_pkey", "checkpoint_pkey", "attempt_pkey"},
    ),
    "log_reach": ({"ids": BATCH, "limit": 1000}, {"log_pkey"}),
    "rerun": ({"id": 7}, {"job_pkey", "progress_pkey", "checkpoint_pkey"}),
    "promote": ({"limit": 500, "since": 0}, {"job_due", "job_pkey"}),
    "expire": ({"limit": 500, "since": 0}, {"job_expiry", "job_pkey"}),
    "control": (
        {**LANES, "worker": 1, "since": 0, "looks": 0},
        {"job_due", "job_expiry", "job_shelf", "job_claim", "arrival_pkey"},
    ),
    "count_waiting": (
        {"queue": "default", "bound": 1000},
        {"job_claim", "job_due", "job_shelf"},
    ),
    "counts": ({"bound": 1000}, {"job_claim", "job_due", "job_shelf", "job_pkey"}),
    "waiting_heads": ({}, {"job_claim", "job_due"}),
    "busy": ({}, {"job_pkey"}),
    "audit": ({"before": 9000, "limit": 100}, {"audit_pkey"}),
    "prune_audit": ({"age_us": 1, "limit": 1000}, {"audit_pkey"}),
    "patch_job": (PATCHED, {"job_pkey"}),
    "jobs_before": ({"id": 7, "bound": 1000}, {"job_pkey", "job_claim"}),
    "task_runs": ({"scan": 1000, "span_us": 1000}, {"job_pkey"}),
    "task_failures": ({"scan": 1000, "span_us": 1000}, {"job_shelf", "job_due"}),
    "waiting_tasks": ({"bound": 1000}, {"job_claim"}),
    "parked_tasks": ({"bound": 1000}, {"job_shelf"}),
    "find_parked": (
        {
            "reasons": ["incompatible"],
            "task": ["mail.welcome"],
            "oldest": [1],
            "newest": [2],
            "after": 7,
            "anew": False,
            "limit": 1000,
        },
        {"job_shelf"},
    ),
    "waiting_reach": ({"after": 7, "limit": 5000}, {"job_pkey"}),
    "shelf_ids_above": (
        {"state": "failed", "after": 7, "last_id": 9000, "limit": 1000},
        {"job_shelf"},
    ),
    "task_names": ({"scan": 1000}, {"job_pkey"}),
    "arrivals": ({"limit": 100}, {"arrival_next", "arrival_pkey"}),
    "take_arrivals": ({**OF_TENANTS, "limit": 10}, {"arrival_next", "arrival_pkey"}),
    "tenant_rows": ({"ids": BATCH}, {"line_job_id_key"}),
    "leave_lines": ({"ids": BATCH}, {"line_job_id_key", "tenant_pkey"}),
    "join_lines": ({**OF_TENANTS, "job_id": BATCH, "urgency": [0] * len(BATCH)}, set()),
    "fair_queues": ({"queues": ["default"]}, {"tenant_next"}),
    "count_let_go": ({"queue": "default", "first": 1}, {"job_pkey"}),
    "next_tenants": ({"queue": "default", "low": 0, "limit": 500}, {"tenant_next"}),
    "heads": (
        {"queue": "default", "tenants": TENANTS, "limit": 3},
        {"line_next", "tenant_pkey"},
    ),
    "note_turns": (
        {**OF_TENANTS, "tag": BATCH, "urgency": [0] * len(BATCH), "place": BATCH},
        {"tenant_pkey"},
    ),
    "note_clock": (
        {"queue": "default", "clock": 1, "low": 1, "first": 1},
        {"tenant_idle", "tenant_pkey"},
    ),
    "look_again": ({"queues": ["default"]}, {"tenant_next", "line_next"}),
    "tenants": (
        {"queue": None, "limit": 100, "after_queue": "", "after_name": ""},
        {"tenant_pkey", "job_pkey"},
    ),
    "weight_of": ({"queue": "default", "tenant": "t1"}, {"tenant_pkey"}),
    "oldest_ended": ({"scan": 1000}, {"job_pkey"}),
}


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    PostgresStore(postgres_url, POSTGRESQL).migrate()
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        yield connection


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    SqliteStore(str(tmp_path / "jobs.db")).migrate()
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
        yield connection


def test_both_dialects_have_the_same_statements() -> None:
    assert set(POSTGRESQL.dollar) - set(SQLITE) == ONLY_POSTGRESQL
    assert set(SQLITE) - set(POSTGRESQL.dollar) == set()


def test_every_statement_is_used() -> None:
    folder = Path(jobpipe.store.__file__).parent
    code = "\n".join(file.read_text() for file in sorted(folder.rglob("*.py")))
    assert [name for name in POSTGRESQL.dollar if f'"{name}"' not in code] == []


def test_every_statement_that_is_yielded_exists() -> None:
    folder = Path(jobpipe.store.__file__).parent / "ops"
    code = "\n".join(file.read_text() for file in sorted(folder.glob("*.py")))
    yielded = set(re.findall(r'Statement\(\s*"([a-z_]+)"', code))
    assert yielded - set(POSTGRESQL.dollar) == set()


def test_every_statement_prepares_on_postgresql(connection: psycopg.Connection[Any]) -> None:
    connection.execute(POSTGRESQL.dollar["create_migrations"].sql.encode())
    for name in POSTGRESQL.dollar.keys() - UTILITY:
        prepare(connection, name)


def test_every_statement_prepares_on_sqlite(sqlite_store: sqlite3.Connection) -> None:
    for text in SQLITE.values():
        nothing = dict.fromkeys(PARAMETER.findall(text))
        for part in sqlite_parts(text):
            sqlite_store.execute(f"EXPLAIN {part}", nothing)


def fill_unknown(connection: psycopg.Connection[Any]) -> None:
    """Fill tables that nobody ever looked at."""
    for table in LARGE:
        connection.execute(f"ALTER TABLE jobpipe.{table} SET (autovacuum_enabled = false)".encode())
    connection.execute(FILL.encode())


def fill_after_analyze(connection: psycopg.Connection[Any]) -> None:
    """Fill tables whose statistics say that they are empty."""
    connection.execute("VACUUM ANALYZE")
    fill_unknown(connection)


def fill_before_analyze(connection: psycopg.Connection[Any]) -> None:
    """Fill tables and take statistics."""
    fill_unknown(connection)
    connection.execute("ANALYZE")


@pytest.mark.parametrize("fill", [fill_unknown, fill_after_analyze, fill_before_analyze])
def test_plans_stay_on_their_indexes(connection: psycopg.Connection[Any], fill: Any) -> None:
    fill(connection)
    faults = []
    for name, (values, indexes) in CASES.items():
        prepare(connection, name)
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute(f"SET plan_cache_mode = {mode}".encode())
            found = judge(explain(connection, name, values), indexes)
            faults += [f"{name}, {mode}: {fault}" for fault in found]
    assert faults == []


def prepare(connection: psycopg.Connection[Any], name: str) -> None:
    text = f"PREPARE check_{name} AS {POSTGRESQL.dollar[name].sql}"
    connection.execute(text.encode(), prepare=False)


def judge(plan: dict[str, Any], indexes: set[str]) -> Iterator[str]:
    """Say what is wrong with a plan."""
    nodes = list(walk(plan))
    used = {node["Index Name"] for node, _ in nodes if "Index Name" in node}
    if missing := indexes - used:
        yield f"does not use {missing}"
    if foreign := {index for index in used if index.rpartition("_")[0] in LARGE} - indexes:
        yield f"uses {foreign}"
    for node, below in nodes:
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE:
            yield f"scans the whole {node['Relation Name']} table"
        if "Sort" in node["Node Type"] and below & LARGE:
            yield f"sorts jobs by {node['Sort Key']}"


def explain(
    connection: psycopg.Connection[Any], name: str, values: dict[str, Any]
) -> dict[str, Any]:
    parameters = POSTGRESQL.dollar[name].parameters
    given = {"clock_shift": 0, **values}
    query: sql.Composable = sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE {}").format(
        sql.Identifier(f"check_{name}")
    )
    literals = sql.SQL(", ").join(sql.Literal(given[parameter]) for parameter in parameters)
    if parameters:
        query = sql.SQL("{} ({})").format(query, literals)
    row = connection.execute(query).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def walk(node: dict[str, Any]) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """Yield every node with the tables that it and those below it read, down to a LIMIT.

    The node itself comes last.
    """
    below = {node["Relation Name"]} if "Relation Name" in node else set()
    for child in node.get("Plans", []):
        tables: set[str] = set()
        for inner, tables in walk(child):
            yield inner, tables
        if child["Node Type"] != "Limit":
            below |= tables
    yield node, below


def test_a_claim_locks_no_more_rows_than_it_takes(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    store = PostgresStore(postgres_url, POSTGRESQL)
    lanes = [Lane("mail", 10), Lane("default", 0)]
    jobs = [NewJob(task="t", args="{}", queue=lane.queue, priority=lane.priority) for lane in lanes]
    store.run(enqueue(jobs * 150))
    new = NewWorker(name="w", host="h", pid=1, pid_started="0", slots=1, queues=("*",))
    worker = store.run(register(new, 15_000_000))
    free = "SELECT id FROM jobpipe.job WHERE rank IS NOT NULL FOR UPDATE SKIP LOCKED"
    for limit in (1, 10, 160):
        with connection.transaction(force_rollback=True):
            taken = step(claim(worker, lanes, limit, after={}, done=()), executor(connection))
            assert len(taken) == limit
            with closing(psycopg.connect(postgres_url)) as other:
                assert len(other.execute(free).fetchall()) == 300 - limit
                other.rollback()  # its locks are gone before the next claim
    store.close()


def executor(connection: psycopg.Connection[Any]) -> Any:
    def execute(statement: Statement) -> list[dict[str, Any]]:
        query = POSTGRESQL.percent[statement.name].sql.encode()
        with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(query, POSTGRESQL.values(statement)).fetchall()

    return execute


def test_a_claim_answers_the_fields_in_their_order(
    connection: psycopg.Connection[Any], sqlite_store: sqlite3.Connection
) -> None:
    values = POSTGRESQL.values(
        Statement("claim", {"limit": 1, "worker": 1, "done": []}, LANE_BATCH)
    )
    answer = connection.execute(POSTGRESQL.percent["claim"].sql.encode(), values)
    assert [column.name for column in answer.description or ()] == list(Claimed.__struct_fields__)
    nothing = dict.fromkeys(PARAMETER.findall(SQLITE["claim"]))
    last = sqlite_store.execute(sqlite_parts(SQLITE["claim"])[-1], nothing)
    assert [column[0] for column in last.description] == list(Claimed.__struct_fields__)


SQLITE_INDEXES: dict[LiteralString, set[str]] = {
    "claim": {"jobpipe_job_claim"},
    "peek": {"jobpipe_job_claim"},
    "finish": set(),
    "give_back": set(),
    "take_back": set(),
    "promote": {"jobpipe_job_due"},
    "expire": {"jobpipe_job_expiry"},
    "control": {
        "jobpipe_job_due",
        "jobpipe_job_expiry",
        "jobpipe_job_shelf",
        "jobpipe_job_claim",
    },
    "waiting_heads": {"jobpipe_job_claim", "jobpipe_job_due"},
    "busy": set(),
    "task_failures": {"jobpipe_job_shelf", "jobpipe_job_due"},
    "waiting_tasks": {"jobpipe_job_claim"},
    "parked_tasks": {"jobpipe_job_shelf"},
    "find_parked": {"jobpipe_job_shelf"},
    "waiting_reach": set(),
    "waiting_page": set(),
    "inventory": set(),
    "audit": set(),
    "audit_of_job": set(),
    "prune_audit": set(),
    "patch_job": set(),
    "jobs_before": {"jobpipe_job_claim"},
    "write_lines": set(),
    "write_progress": set(),
    "save_checkpoints": set(),
    "read_log": set(),
    "job": set(),
    "prune": set(),
    "log_reach": set(),
    "rerun": set(),
    "arrivals": set(),
    "take_arrivals": set(),
    "tenant_rows": set(),
    "leave_lines": set(),
    "fair_queues": set(),
    "count_let_go": set(),
    "next_tenants": set(),
    "note_turns": set(),
    "note_clock": set(),
    "look_again": set(),
}
"""What a statement uses beside the key."""


@pytest.mark.parametrize("name", SQLITE_INDEXES)
def test_sqlite_plans_stay_on_their_indexes(sqlite_store: sqlite3.Connection, name: str) -> None:
    nothing = dict.fromkeys(PARAMETER.findall(SQLITE[name]))
    lines = [
        row[3]
        for part in sqlite_parts(SQLITE[name])
        for row in sqlite_store.execute(f"EXPLAIN QUERY PLAN {part}", nothing)
    ]
    whole = re.compile(rf"SCAN (j|p|jobpipe_({'|'.join(LARGE)}))( AS \w+)?$")
    assert [line for line in lines if whole.match(line)] == []
    assert [line for line in lines if "FOR ORDER BY" in line] == []
    used = {found for line in lines for found in re.findall(r"INDEX (jobpipe_job_\w+)", line)}
    assert used == SQLITE_INDEXES[name]


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO jobpipe_job (task, queue, priority, state, max_attempts, max_losses,"
        " created_at, args) VALUES ('t', 'q', 0, 'queued', 1, 1, 1, '{}')",
        "UPDATE jobpipe_job SET state = 'running' WHERE id = 1",
    ],
)
def test_the_rules_of_a_row_build_no_set(
    sqlite_store: sqlite3.Connection, change: LiteralString
) -> None:
    """A longer IN in a CHECK or a trigger makes SQLite build its set anew for every row."""
    codes = [row[1] for row in sqlite_store.execute(f"EXPLAIN {change}")]
    assert "Program" in codes  # the trigger's own codes are listed too
    assert "OpenEphemeral" not in codes


@pytest.mark.parametrize("name", ["claim", "finish"])
def test_what_a_drain_runs_fetches_no_row_a_job(name: str) -> None:
    """Each row that is fetched hands the interpreter over, which may take milliseconds."""
    answering = [
        part
        for part in script(SQLITE[name]).parts
        if part.sql.startswith("SELECT") or "RETURNING" in part.sql
    ]
    assert answering != []
    assert [part.sql for part in answering if not part.is_gathered] == []


def test_plain_successes_are_written_by_a_part_of_their_own() -> None:
    """The part that writes all kinds of outcomes reads eleven numbers a job, this one four."""
    halves = [part.half for part in script(SQLITE["finish"]).parts]
    assert halves == ["plain", "plain", "plain", "rows", "rows", "rows", "rows", "plain", "rows"]
