"""PgQueuer: asyncpg on uvloop, batches of 1,000.

A finished job is deleted and its end is noted in a log table; what it returns is not kept.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import asyncpg
import kit
import pgqueuer
import psycopg
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries, RetryRequested
from pgqueuer.db import SyncPsycopgDriver
from pgqueuer.queries import SyncQueries

BATCH = 1_000
CHUNK = 5_000
LINKS = 8
"""Most connections to enqueue by: commits that notify wait for each other, so more are slower."""


async def connect(url: str) -> Queries:
    return Queries(AsyncpgDriver(await asyncpg.connect(url)))


def payload(task: str, n: int) -> bytes:
    return str(kit.argument(task, n)).encode()


async def enqueue_many(queries: Queries, task: str, numbers: range) -> None:
    payloads: list[bytes | None] = [payload(task, n) for n in numbers]
    await queries.enqueue([task] * len(numbers), payloads, [0] * len(numbers))


async def prepare(url: str) -> None:
    await (await connect(url)).install()


async def fill(url: str, jobs: int, task: str) -> dict[str, float]:
    queries = await connect(url)
    seconds = await kit.filled(jobs, CHUNK, lambda some: enqueue_many(queries, task, some))
    return {"seconds": seconds}


def enqueue(url: str, jobs: int, mode: str, callers: int) -> Any:
    do = enqueue_async if mode == "async" else enqueue_sync
    return do(url, jobs, callers)


async def enqueue_async(url: str, jobs: int, callers: int) -> dict[str, float]:
    links = [await connect(url) for _ in range(min(callers, LINKS))]

    async def call(n: int) -> None:
        await links[n % len(links)].enqueue("noop", payload("noop", n))

    return {"seconds": await kit.from_callers(callers, jobs, call)}


def enqueue_sync(url: str, jobs: int, callers: int) -> dict[str, float]:
    links = [
        SyncQueries(SyncPsycopgDriver(psycopg.connect(url, autocommit=True)))
        for _ in range(min(callers, LINKS))
    ]

    def call(n: int) -> None:
        links[n % len(links)].enqueue("noop", payload("noop", n))

    return {"seconds": kit.from_threads(callers, jobs, call)}


async def pace(url: str, jobs: int, gap_ms: float) -> dict[str, float]:
    queries = await connect(url)

    async def call(at_ns: int) -> None:
        await queries.enqueue("stamp", payload("stamp", at_ns))

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(url: str, task: str, seconds: float, backlog: int, tally: str) -> dict[str, int]:
    queries = await connect(url)
    jobs = await kit.fed(tally, seconds, backlog, lambda some: enqueue_many(queries, task, some))
    return {"jobs": jobs}


def declare(pgq: PgQueuer) -> None:
    tally = kit.tally()

    @pgq.entrypoint("noop")
    async def noop(job: Job) -> None:
        int(job.payload or b"")
        tally.count()

    @pgq.entrypoint("noop_sync")
    async def noop_sync(job: Job) -> None:
        int(job.payload or b"")
        await asyncio.to_thread(tally.count)

    @pgq.entrypoint("kib")
    async def kib(job: Job) -> None:
        (job.payload or b"").decode()
        tally.count()

    @pgq.entrypoint("flaky")
    async def flaky(job: Job) -> None:
        if kit.is_flaky(int(job.payload or b"")) and job.attempts == 0:
            raise RetryRequested
        tally.count()

    @pgq.entrypoint("stamp")
    async def stamp(job: Job) -> None:
        tally.stamp(int(job.payload or b""))


async def work(url: str, **_: Any) -> None:
    @asynccontextmanager
    async def factory() -> AsyncIterator[PgQueuer]:
        connection = await asyncpg.connect(url)
        pgq = PgQueuer.from_asyncpg_connection(connection)
        declare(pgq)
        yield pgq
        await connection.close()

    await pgqueuer.run(factory, batch_size=BATCH)


async def left(url: str) -> dict[str, int]:
    queries = await connect(url)
    return {"left": sum(row.count for row in await queries.queue_size())}


uvloop.install()
kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
