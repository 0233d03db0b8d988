"""Looks into Jobpipe that a user does not need: rows cloned in SQL, the time of single claims."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import kit

from jobpipe import bootstrap
from jobpipe.delivery.hub import Hub
from jobpipe.model.job import Finish, Lane
from jobpipe.model.state import State
from jobpipe.model.worker import NewWorker
from jobpipe.runtime.claimer import Claimer
from jobpipe.store.ops.claim import claim
from jobpipe.store.ops.finish import finish
from jobpipe.store.ops.worker import register

LANE = Lane("default", 0)
LEASE_US = 3_600_000_000

COLUMNS = """
    id, task, queue, priority, args, created_at, queued_at, max_attempts, max_losses,
    token, attempt, worker_id, started_at, finished_at, state, rank
"""
FINISHED = """
    n, task, queue, priority, args, created_at, queued_at, max_attempts, max_losses,
    token, attempt, worker_id, started_at, finished_at, state, NULL
"""
WAITING = """
    n, task, queue, priority, args, created_at, queued_at, max_attempts, max_losses,
    0, 0, NULL, NULL, NULL, 'queued', n
"""
MODEL = "(SELECT * FROM {job} WHERE finished_at IS NOT NULL ORDER BY id LIMIT 1) AS model"
SERIES = {
    "postgresql": "generate_series({first}, {last}) AS series (n)",
    "sqlite": """
        (WITH RECURSIVE up (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM up WHERE n < {last})
        SELECT n FROM up) AS series""",
}
TALLY = "INSERT INTO {tally} (queue, state, n) VALUES ('default', 'succeeded', {jobs})"


def clone(url: str, finished: int = 0, waiting: int = 0) -> dict[str, float]:
    """Add copies of a finished job to the store, finished or waiting."""
    add = _clone_sqlite if url.startswith("sqlite:") else _clone_postgresql
    return {"seconds": kit.timed(lambda: add(url, finished, waiting))}


def _clone_postgresql(url: str, finished: int, waiting: int) -> None:
    import psycopg

    names = {"job": "jobpipe.job", "tally": "jobpipe.tally"}
    with closing(psycopg.connect(url)) as connection, connection.transaction():
        connection.execute("ALTER TABLE jobpipe.job DISABLE TRIGGER USER")
        row = connection.execute("SELECT nextval('jobpipe.rank')").fetchone()
        assert row is not None
        for text in _texts("postgresql", names, row[0], finished, waiting):
            connection.execute(text.encode())
        last = row[0] + finished + waiting
        connection.execute("SELECT setval('jobpipe.rank', %s)", [last])
        connection.execute("ALTER TABLE jobpipe.job ENABLE TRIGGER USER")


def _clone_sqlite(url: str, finished: int, waiting: int) -> None:
    names = {"job": "jobpipe_job", "tally": "jobpipe_tally"}
    path = bootstrap.sqlite_path(url)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?",
            [names["job"]],
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        (last,) = connection.execute("SELECT max(id) FROM jobpipe_job").fetchone()
        for text in _texts("sqlite", names, last, finished, waiting):
            connection.execute(text)
        for _, text in triggers:
            connection.execute(text)
        connection.execute("COMMIT")


def _texts(dialect: str, names: dict[str, str], last: int, finished: int, waiting: int) -> Any:
    for jobs, values in ((finished, FINISHED), (waiting, WAITING)):
        if jobs:
            series = SERIES[dialect].format(first=last + 1, last=last + jobs)
            source = f"FROM {MODEL.format(**names)} CROSS JOIN {series}"
            yield f"INSERT INTO {names['job']} ({COLUMNS}) SELECT {values} {source}"
            last += jobs
    if finished:
        yield TALLY.format(**names, jobs=finished)


def claims(url: str, claims: int, limit: int) -> dict[str, list[float]]:
    """Claim by bare statements from a frontier that moves on; finish each time, uncounted."""
    from tasks import jp

    taken: list[float] = []
    backend = bootstrap.connect(jp.settings, Hub())
    with closing(backend):
        store = backend.store
        new = NewWorker(name="probe", host="probe", pid=1, pid_started="0", slots=1, queues=["*"])
        worker = store.run(register(new, LEASE_US))
        after: dict[Lane, int] = {}
        done: list[int] = []
        for _ in range(claims):
            began = time.perf_counter()
            jobs = store.run(claim(worker, [LANE], limit, after=after, done=done))
            taken.append((time.perf_counter() - began) * 1e3)
            after, done = {LANE: max(job.rank for job in jobs)}, [jobs[0].claim_id]
            ends = [
                Finish(id=job.id, token=job.token, state=State.SUCCEEDED, outcome="succeeded")
                for job in jobs
            ]
            store.run(finish(ends, time.monotonic_ns()))
    return {"ms": taken}


async def worked(url: str, tally: str, jobs: int) -> dict[str, list[float]]:
    """Run a worker in this program for so many jobs; how long each claim took that found any."""
    os.environ["BENCH_TALLY"] = tally
    from tasks import jp

    folder, taken_before = Path(tally), kit.total(Path(tally))
    taken: list[float] = []
    take = Claimer._take

    async def timed(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        found = await take(*given, **named)
        if found:
            taken.append((time.perf_counter() - began) * 1e3)
        return found

    Claimer._take = timed
    async with jp.arunning(concurrency=100):
        while kit.total(folder) - taken_before < jobs:  # noqa: ASYNC110 - others count
            await asyncio.sleep(0.005)
    return {"ms": taken}


VERBS = {"clone": clone, "claims": claims, "worked": worked}
