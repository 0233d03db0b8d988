"""Procrastinate: 20 jobs at once, all else as it comes. What a job returns is not kept."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy, SyncPsycopgConnector

CONCURRENCY = 20
LEFT = "SELECT count(*) AS left FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"

logging.getLogger("procrastinate").setLevel(logging.ERROR)
url = kit.given("url")
app = App(connector=PsycopgConnector(conninfo=url))


@app.task(name="noop")
async def noop(n: int) -> None:
    kit.tally().count()


@app.task(name="noop_sync")
def noop_sync(n: int) -> None:
    kit.tally().count()


@app.task(name="kib")
async def kib(n: str) -> str:
    kit.tally().count()
    return n


@app.task(name="flaky", retry=RetryStrategy(max_attempts=2), pass_context=True)
async def flaky(context: JobContext, n: int) -> None:
    if kit.is_flaky(n) and context.job.attempts == 0:
        raise RuntimeError("the first attempt fails")
    kit.tally().count()


@app.task(name="stamp")
async def stamp(n: int) -> None:
    kit.tally().stamp(n)


async def enqueue_many(task: str, numbers: range) -> None:
    await app.tasks[task].batch_defer_async(*({"n": kit.argument(task, n)} for n in numbers))


async def prepare(**_: Any) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    async with app.open_async():
        seconds = await kit.filled(jobs, 1_000, lambda some: enqueue_many(task, some))
    return {"seconds": seconds}


def enqueue(jobs: int, mode: str, callers: int, **_: Any) -> Any:
    return enqueue_async(jobs, callers) if mode == "async" else enqueue_sync(jobs, callers)


async def enqueue_async(jobs: int, callers: int) -> dict[str, float]:
    async def call(n: int) -> None:
        await noop.defer_async(n=n)

    async with app.open_async():
        return {"seconds": await kit.from_callers(callers, jobs, call)}


def enqueue_sync(jobs: int, callers: int) -> dict[str, float]:
    with app.replace_connector(SyncPsycopgConnector(conninfo=url)) as sync, sync.open():
        return {"seconds": kit.from_threads(callers, jobs, lambda n: noop.defer(n=n))}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    async def call(at_ns: int) -> None:
        await stamp.defer_async(n=at_ns)

    async with app.open_async():
        return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    async with app.open_async():
        jobs = await kit.fed(tally, seconds, backlog, lambda some: enqueue_many(task, some))
    return {"jobs": jobs}


async def work(**_: Any) -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY)


async def left(**_: Any) -> dict[str, int]:
    async with app.open_async():
        return await app.connector.execute_query_one_async(LEFT)


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
