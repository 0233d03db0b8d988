"""What a worker asks again and again touches no more pages when others keep rows of the past.

Dead rows that a pinned snapshot keeps, or finished jobs of a long history. The same questions are
put to a store with few and with many of them, by plans for the values and for any values, with no
and with fresh statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore

KNOWN = dialect.load("jobpipe")
FEW, MANY = 2_000, 20_000
LIVE = 500
GROWTH, SLACK_PAGES = 1.25, 100
"""A deeper tree or another way along it costs some; a walk over the dead costs thousands."""

SCHEMA: LiteralString = """
ALTER TABLE jobpipe.job SET (autovacuum_enabled = false);
ALTER TABLE jobpipe.job DISABLE TRIGGER USER;
INSERT INTO jobpipe.lane VALUES ('default', 0);
"""
ENQUEUE: LiteralString = """
INSERT INTO jobpipe.job (
    id, task, queue, priority, args, created_at, max_attempts, max_losses, state, rank, due_at,
    expires_at
)
SELECT
    id, 'mail.welcome', 'default', 0, '{}', 1, 5, 3,
    CASE WHEN is_due THEN 'scheduled' ELSE 'queued' END,
    CASE WHEN NOT is_due THEN id END, CASE WHEN is_due THEN id END,
    CASE WHEN id %% 10 = 1 AND %(timed)s THEN id END
FROM generate_series(%(first)s + 1, %(last)s) AS id
CROSS JOIN LATERAL (SELECT id %% 10 = 0 AND %(timed)s AS is_due) AS due
"""
PROMOTE: LiteralString = """
UPDATE jobpipe.job SET state = 'queued', rank = id, due_at = NULL
WHERE due_at IS NOT NULL AND id <= %(last)s
"""
CLAIM: LiteralString = """
UPDATE jobpipe.job SET state = 'running', rank = NULL, token = 1, attempt = 1, worker_id = 1
WHERE rank IS NOT NULL AND id <= %(last)s
"""
FINISH: LiteralString = """
UPDATE jobpipe.job SET state = 'succeeded', finished_at = 1
WHERE state = 'running' AND id <= %(last)s
"""
HISTORY: LiteralString = """
INSERT INTO jobpipe.job (
    id, task, queue, priority, args, created_at, max_attempts, max_losses, state, token, attempt,
    started_at, finished_at
)
SELECT id, 'mail.welcome', 'default', 0, '{}', 1, 5, 3, 'succeeded', 1, 1, 1, 1
FROM generate_series(%(first)s + 1, %(last)s) AS id
"""
Step = Callable[[psycopg.Connection[Any], dict[str, int]], None]


@pytest.fixture
def store(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a store whose tables nobody ever looks at."""
    with closing(PostgresStore(postgres_url, KNOWN)) as fresh:
        fresh.migrate()
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute(SCHEMA)
        yield connection


@pytest.fixture
def pin(postgres_url: str, store: psycopg.Connection[Any]) -> Iterator[None]:
    """Another session that holds a snapshot of the store."""
    with closing(psycopg.connect(postgres_url)) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.execute("SELECT 1")
        yield


def run_jobs(connection: psycopg.Connection[Any], jobs: dict[str, int]) -> None:
    """Bring jobs through their whole lives, so that each leaves its dead rows."""
    for step in (ENQUEUE, PROMOTE, CLAIM, FINISH):
        connection.execute(step, jobs)


def add_history(connection: psycopg.Connection[Any], jobs: dict[str, int]) -> None:
    """Add jobs that succeeded long ago."""
    connection.execute(HISTORY, jobs)


def questions(last: int) -> dict[str, dict[str, Any]]:
    """Return what a worker asks while jobs beyond the id ``last`` are alive."""
    lane = {"queue": ["default"], "priority": [0]}
    ids = list(range(last + 1, last + 101))
    nothing = [None] * len(ids)
    return {
        "peek": {**lane, "after": [last]},
        "claim": {
            **lane,
            "after": [last],
            "limit": 100,
            "worker": 1,
            "done": [1, 2],
        },
        "left_behind": {**lane, "after": [0], "until": [FEW], "limit": 100},
        "finish": {
            "id": ids,
            "token": [1] * len(ids),
            "state": ["succeeded"] * len(ids),
            "reason": nothing,
            "outcome": ["succeeded"] * len(ids),
            "result": nothing,
            "error": nothing,
            "delay_us": nothing,
            "charged": [True] * len(ids),
            "duration_us": [5] * len(ids),
            "age_us": [5] * len(ids),
        },
        "give_back": {
            "id": ids,
            "token": [1] * len(ids),
            "rank": ids,
            "started": False,
            "suspect": False,
        },
        "control": {**lane, "after": [last], "worker": 1, "since": last, "looks": last},
        "promote": {"since": last, "limit": 100},
        "expire": {"since": last, "limit": 100},
        "find_parked": {
            "reasons": ["unknown_task"],
            "task": ["mail.welcome"],
            "oldest": [1],
            "newest": [1],
            "after": 0,
            "anew": False,
            "limit": 100,
        },
    }


def pages(
    connection: psycopg.Connection[Any], values: dict[str, dict[str, Any]], mode: str
) -> dict[str, int]:
    """Return how many pages each question touches; what it writes is undone."""
    touched = {}
    connection.execute(f"SET plan_cache_mode = {mode}".encode())
    for name, given in values.items():
        prepared = KNOWN.dollar[name]
        connection.execute(f"PREPARE {name} AS {prepared.sql}".encode(), prepare=False)
        literals = [sql.Literal({"clock_shift": 0, **given}[key]) for key in prepared.parameters]
        query = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {} ({})").format(
            sql.Identifier(name), sql.SQL(", ").join(literals)
        )
        with connection.transaction(force_rollback=True):
            row = connection.execute(query).fetchone()
        assert row is not None
        plan = row[0][0]["Plan"]
        touched[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    connection.execute("DEALLOCATE ALL", prepare=False)
    return touched


def grown(
    connection: psycopg.Connection[Any], add: Step, statistics: str, *, timed: bool
) -> dict[tuple[str, str], tuple[int, int]]:
    """Add few rows of the past, then many; return the questions that then touch more pages."""
    costs = []
    last = 0
    for past in (FEW, MANY):
        add(connection, {"first": last, "last": past, "timed": timed})
        last = past
        if (statistics, past) in {("of few", FEW), ("of many", MANY)}:
            connection.execute("ANALYZE")
        with connection.transaction(force_rollback=True):
            connection.execute(ENQUEUE, {"first": last, "last": last + LIVE, "timed": timed})
            costs.append(
                {
                    (name, mode): n
                    for mode in ("force_custom_plan", "force_generic_plan")
                    for name, n in pages(connection, questions(last), mode).items()
                }
            )
    few, many = costs
    return {key: (n, many[key]) for key, n in few.items() if many[key] > n * GROWTH + SLACK_PAGES}


@pytest.mark.parametrize("timed", [False, True], ids=["plain", "timed"])
@pytest.mark.parametrize("statistics", ["none", "of few", "of many"])
def test_dead_rows_cost_a_worker_nothing(
    store: psycopg.Connection[Any], pin: None, statistics: str, *, timed: bool
) -> None:
    assert grown(store, run_jobs, statistics, timed=timed) == {}


@pytest.mark.parametrize("statistics", ["none", "of few", "of many"])
def test_history_costs_a_worker_nothing(store: psycopg.Connection[Any], statistics: str) -> None:
    assert grown(store, add_history, statistics, timed=False) == {}
