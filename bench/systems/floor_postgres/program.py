"""What PostgreSQL and asyncpg give when nothing but Jobpipe's own statements stands between.

No leases, no heartbeat, no retries, no wake-ups: a bare loop that claims 1,000 on one connection
while it finishes 1,000 on another. Nobody could use it; it is the floor that a figure stands on.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

sys.path.append(str(Path(__file__).resolve().parents[1]))

import floor
import kit

from jobpipe import Jobpipe
from jobpipe.model.job import Claimed
from jobpipe.store.ops.claim import claim
from jobpipe.store.ops.finish import finish
from jobpipe.store.port import Operation, Rows, Statement
from jobpipe.store.postgres import dialect
from jobpipe.store.stepping import astep

BATCH = 1_000
CHUNK = 10_000
EMPTY_SECONDS = 0.005
DIALECT = dialect.load("jobpipe")
INSERT = f"""
INSERT INTO jobpipe.job ({", ".join(floor.COLUMNS)})
SELECT id, id, 'noop', 'default', 0, CAST($1 AS json), 5, 3, now, now, 'queued'
FROM nextval('jobpipe.rank') AS id
CROSS JOIN CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint) AS now
"""


def prepare(url: str) -> None:
    Jobpipe(url).counts()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO jobpipe.lane (queue, priority) VALUES ('default', 0)")


async def fill(url: str, jobs: int, task: str) -> dict[str, float]:
    connection = await asyncpg.connect(url)
    return {"seconds": await kit.filled(jobs, CHUNK, lambda some: _copy(connection, some))}


async def feed(url: str, task: str, seconds: float, backlog: int, tally: str) -> dict[str, int]:
    connection = await asyncpg.connect(url)
    return {
        "jobs": await kit.fed(tally, seconds, backlog, lambda some: _copy(connection, some), BATCH)
    }


async def _copy(connection: Any, numbers: range) -> None:
    rows = await _fetch(connection, Statement("reserve_ids", {"n": len(numbers)}))
    now = time.time_ns() // 1000
    records = [floor.row(row["id"], n, now) for row, n in zip(rows, numbers, strict=True)]
    await connection.copy_records_to_table(
        "job", schema_name="jobpipe", columns=floor.COLUMNS, records=records
    )


def enqueue(url: str, jobs: int, mode: str, callers: int) -> Any:
    if mode == "async":
        return _enqueue_async(url, jobs, callers)
    cursor = psycopg.RawCursor(psycopg.connect(url, autocommit=True))
    return {
        "seconds": kit.from_threads(
            callers, jobs, lambda n: cursor.execute(INSERT, [floor.args(n)])
        )
    }


async def _enqueue_async(url: str, jobs: int, callers: int) -> dict[str, float]:
    free = [await (await asyncpg.connect(url)).prepare(INSERT) for _ in range(callers)]

    async def call(n: int) -> None:
        insert = free.pop()
        await insert.fetch(floor.args(n))
        free.append(insert)

    return {"seconds": await kit.from_callers(callers, jobs, call)}


async def work(url: str, tally: str, **_: Any) -> None:
    counts = kit.tally()
    claims, finishes = await asyncpg.connect(url), await asyncpg.connect(url)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    after, done, finishing = 0, [], None
    while not stopped.is_set():
        jobs = await _ask(
            claims, claim(1, [floor.LANE], BATCH, after={floor.LANE: after}, done=done)
        )
        if finishing is not None:
            await finishing
            finishing = None
        if not jobs:
            after, done = 0, []
            await asyncio.sleep(EMPTY_SECONDS)
            continue
        for job in jobs:
            json.loads(job.args)
            counts.count()
        after, done = jobs[-1].rank, [jobs[0].claim_id]
        finishing = asyncio.ensure_future(_finish(finishes, jobs))
    if finishing is not None:
        await finishing


def _finish(connection: Any, jobs: list[Claimed]) -> Awaitable[Any]:
    return _ask(connection, finish(floor.successes(jobs), time.monotonic_ns()))


def _ask(connection: Any, operation: Operation[Any]) -> Awaitable[Any]:
    """Run one of the store's own operations on the bare connection."""
    return astep(operation, lambda statement: _fetch(connection, statement))


def _fetch(connection: Any, statement: Statement) -> Awaitable[Rows]:
    prepared = DIALECT.dollar[statement.name]
    arguments = DIALECT.arguments(statement, prepared)
    rows: Awaitable[Rows] = connection.fetch(prepared.sql, *arguments)
    return rows


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, feed=feed, work=work, left=floor.left)
