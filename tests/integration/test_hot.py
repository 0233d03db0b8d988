"""A finish writes no index on PostgreSQL, even while a pinned snapshot keeps every old version."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
from psycopg.rows import dict_row

from jobpipe.model.job import Finish, Lane, NewJob
from jobpipe.model.report import Progress
from jobpipe.model.state import State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops.claim import claim
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.finish import finish
from jobpipe.store.ops.report import write_progress
from jobpipe.store.ops.worker import register
from jobpipe.store.port import Rows, Statement
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore
from jobpipe.store.stepping import step

JOBS = 5_000
BATCH = 500
LANE = Lane("default", 0)


def executor(connection: psycopg.Connection[Any]) -> Callable[[Statement], Rows]:
    known = dialect.load("jobpipe")

    def execute(statement: Statement) -> Rows:
        query = known.percent[statement.name].sql.encode()
        cursor = connection.execute(query, known.values(statement))
        return cursor.fetchall() if cursor.description else []

    return execute


def hot_updates(connection: psycopg.Connection[Any], table: str = "job") -> tuple[int, int]:
    """Return how many updates the table has seen, and how many of them were HOT."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot FROM pg_stat_user_tables"
        " WHERE schemaname = 'jobpipe' AND relname = %s",
        (table,),
    ).fetchone()
    assert row is not None
    return row["updates"], row["hot"]


def test_finishes_are_hot_under_a_pinned_snapshot(postgres_url: str) -> None:
    PostgresStore(postgres_url, dialect.load("jobpipe")).migrate()
    with (
        closing(psycopg.connect(postgres_url)) as pin,
        closing(psycopg.connect(postgres_url, autocommit=True, row_factory=dict_row)) as connection,
    ):
        execute = executor(connection)
        new = NewWorker(name="w", host="h", pid=1, pid_started="0", slots=1, queues=("default",))
        worker = step(register(new, 15_000_000), execute)
        job = NewJob(task="mail.welcome", args='{"user_id":42,"template":"first"}')
        for _ in range(0, JOBS, BATCH):
            step(enqueue([job] * BATCH), execute)
        pin.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        pin.execute("SELECT count(*) FROM jobpipe.job")
        finished = 0
        for _ in range(0, JOBS, BATCH):
            claims = step(claim(worker, [LANE], BATCH, after={}, done=()), execute)
            before = hot_updates(connection)
            outcomes = [
                Finish(
                    id=held.id,
                    token=held.token,
                    state=State.SUCCEEDED,
                    outcome="succeeded",
                    result='{"sent":true}',
                )
                for held in claims
            ]
            assert len(step(finish(outcomes, time.monotonic_ns()), execute)) == BATCH
            updates, hot = hot_updates(connection)
            assert updates - before[0] == BATCH
            finished += hot - before[1]
        assert finished >= JOBS * 0.95


def test_updates_of_progress_are_hot(postgres_url: str) -> None:
    PostgresStore(postgres_url, dialect.load("jobpipe")).migrate()
    connecting = psycopg.connect(postgres_url, autocommit=True, row_factory=dict_row)
    with closing(connecting) as connection:
        execute = executor(connection)
        new = NewWorker(name="w", host="h", pid=1, pid_started="0", slots=1, queues=["default"])
        worker = step(register(new, 15_000_000), execute)
        step(enqueue([NewJob(task="t", args="{}")] * BATCH), execute)
        jobs = step(claim(worker, [LANE], BATCH, after={}, done=()), execute)
        for done in range(11):
            said = [Progress(job.id, job.token, done, 10, "half way") for job in jobs]
            assert len(step(write_progress(said), execute)) == BATCH
        updates, hot = hot_updates(connection, "progress")
        assert updates == 10 * BATCH
        assert hot >= updates * 0.95
