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

import kit

from jobpipe import Jobpipe
from jobpipe.store.postgres import dialect

BATCH = 1_000
CHUNK = 10_000
EMPTY_SECONDS = 0.005
SQL = dialect.load("jobpipe").dollar
FINAL = ("succeeded", "failed", "cancelled")
INSERT = """
INSERT INTO jobpipe.job (
    id, rank, task, queue, priority, args, max_attempts, max_losses, created_at, run_at, queued_at,
    state
)
SELECT id, id, 'noop', 'default', 0, CAST({args} AS json), 5, 3, {now}, {now}, {now}, 'queued'
FROM nextval('jobpipe.rank') AS id
"""
NOW = "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint)"
COLUMNS = [
    *("id", "rank", "task", "queue", "priority", "args", "max_attempts", "max_losses"),
    *("created_at", "run_at", "queued_at", "state"),
]


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
    rows = await _ask(connection, "reserve_ids", n=len(numbers))
    now = time.time_ns() // 1000
    records = [
        (row["id"], row["id"], "noop", "default", 0, _args(n), 5, 3, now, now, now, "queued")
        for row, n in zip(rows, numbers, strict=True)
    ]
    await connection.copy_records_to_table(
        "job", schema_name="jobpipe", columns=COLUMNS, records=records
    )


def enqueue(url: str, jobs: int, mode: str, callers: int) -> Any:
    if mode == "async":
        return _enqueue_async(url, jobs, callers)
    connection = psycopg.connect(url, autocommit=True)
    sql = INSERT.format(args="%s", now=NOW)
    return {
        "seconds": kit.from_threads(callers, jobs, lambda n: connection.execute(sql, [_args(n)]))
    }


async def _enqueue_async(url: str, jobs: int, callers: int) -> dict[str, float]:
    sql = INSERT.format(args="$1", now=NOW)
    free = [await (await asyncpg.connect(url)).prepare(sql) for _ in range(callers)]

    async def call(n: int) -> None:
        insert = free.pop()
        await insert.fetch(_args(n))
        free.append(insert)

    return {"seconds": await kit.from_callers(callers, jobs, call)}


async def work(url: str, tally: str, **_: Any) -> None:
    counts = kit.tally()
    claims, finishes = await asyncpg.connect(url), await asyncpg.connect(url)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    after, done, finish = 0, [], None
    while not stopped.is_set():
        rows = await _ask(
            claims,
            "claim",
            worker=1,
            limit=BATCH,
            done=done,
            queue=["default"],
            priority=[0],
            after=[after],
        )
        if finish is not None:
            await finish
            finish = None
        if not rows:
            after, done = 0, []
            await asyncio.sleep(EMPTY_SECONDS)
            continue
        for row in rows:
            json.loads(row["args"])
            counts.count()
        after, done = max(row["rank"] for row in rows), [rows[0]["claim_id"]]
        finish = asyncio.ensure_future(_finish(finishes, rows))
    if finish is not None:
        await finish


def _finish(connection: Any, rows: list[Any]) -> Awaitable[Any]:
    size = len(rows)
    return _ask(
        connection,
        "finish",
        id=[row["id"] for row in rows],
        token=[row["token"] for row in rows],
        state=["succeeded"] * size,
        reason=[None] * size,
        outcome=["succeeded"] * size,
        result=[None] * size,
        error=[None] * size,
        delay_us=[0] * size,
        charged=[True] * size,
        duration_us=[0] * size,
        age_us=[0] * size,
    )


def _ask(connection: Any, name: str, **values: Any) -> Awaitable[Any]:
    """Run one of Jobpipe's statements with its parameters in its order."""
    statement = SQL[name]
    values["clock_shift"] = 0
    answer: Awaitable[Any] = connection.fetch(
        statement.sql, *[values[parameter] for parameter in statement.parameters]
    )
    return answer


def left(url: str) -> dict[str, int]:
    counts = Jobpipe(url).counts()
    return {"left": sum(n for state, n in counts.items() if state not in FINAL)}


def _args(n: int) -> str:
    return f"[[{n}],{{}}]"


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, feed=feed, work=work, left=left)
