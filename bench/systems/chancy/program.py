"""Chancy: jobs in the worker's own loop, 2,000 at once, eager polling, a quiet log.

Plain functions run in a queue of their own with threads. What a job returns is not kept.
"""

import logging
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
from chancy import Chancy, Job, Queue, QueuedJob, Worker

CONCURRENCY = 2_000
THREADS = 10
LEFT = "SELECT count(*) FROM chancy_jobs WHERE state NOT IN ('succeeded', 'failed')"


async def noop(n: int) -> None:
    kit.tally().count()


def noop_sync(n: int) -> None:
    kit.tally().count()


async def kib(n: str) -> str:
    kit.tally().count()
    return n


async def flaky(n: int, *, job: QueuedJob) -> None:
    if kit.is_flaky(n) and job.attempts == 0:
        raise RuntimeError("the first attempt fails")
    kit.tally().count()


async def stamp(n: int) -> None:
    kit.tally().stamp(n)


JOBS = {
    "noop": Job.from_func(noop),
    "noop_sync": Job.from_func(noop_sync, queue="threads"),
    "kib": Job.from_func(kib),
    "flaky": Job.from_func(flaky, max_attempts=2),
    "stamp": Job.from_func(stamp),
}


def job(task: str, n: int) -> Job:
    return JOBS[task].with_kwargs(n=kit.argument(task, n))


def connect(url: str) -> Chancy:
    log = logging.getLogger("chancy")
    log.setLevel(logging.WARNING)
    return Chancy(url, log=log)


async def enqueue_many(chancy: Chancy, task: str, numbers: range) -> None:
    async for _ in chancy.push_many([job(task, n) for n in numbers]):
        pass


async def prepare(url: str) -> None:
    asynchronous = {"executor": Chancy.Executor.Async, "concurrency": CONCURRENCY}
    threaded = {"executor": Chancy.Executor.Threaded, "concurrency": THREADS}
    looks = {"eager_polling": True, "polling_interval": 1}
    async with connect(url) as chancy:
        await chancy.migrate()
        await chancy.declare(Queue("default", **asynchronous, **looks))
        await chancy.declare(Queue("threads", **threaded, **looks))


async def fill(url: str, jobs: int, task: str) -> dict[str, float]:
    async with connect(url) as chancy:
        seconds = await kit.filled(jobs, 1_000, lambda some: enqueue_many(chancy, task, some))
    return {"seconds": seconds}


def enqueue(url: str, jobs: int, mode: str, callers: int) -> Any:
    do = enqueue_async if mode == "async" else enqueue_sync
    return do(url, jobs, callers)


async def enqueue_async(url: str, jobs: int, callers: int) -> dict[str, float]:
    async with connect(url) as chancy:

        async def call(n: int) -> None:
            await chancy.push(job("noop", n))

        return {"seconds": await kit.from_callers(callers, jobs, call)}


def enqueue_sync(url: str, jobs: int, callers: int) -> dict[str, float]:
    with connect(url) as chancy:

        def call(n: int) -> None:
            chancy.sync_push(job("noop", n))

        return {"seconds": kit.from_threads(callers, jobs, call)}


async def pace(url: str, jobs: int, gap_ms: float) -> dict[str, float]:
    async with connect(url) as chancy:

        async def call(at_ns: int) -> None:
            await chancy.push(job("stamp", at_ns))

        return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(url: str, task: str, seconds: float, backlog: int, tally: str) -> dict[str, int]:
    async with connect(url) as chancy:
        jobs = await kit.fed(tally, seconds, backlog, lambda some: enqueue_many(chancy, task, some))
    return {"jobs": jobs}


async def work(url: str, **_: Any) -> None:
    async with connect(url) as chancy, Worker(chancy) as worker:
        await worker.wait_for_shutdown()


async def left(url: str) -> dict[str, int]:
    async with connect(url) as chancy, chancy.pool.connection() as connection:
        row = await (await connection.execute(LEFT)).fetchone()
    return {"left": row[0] if row else 0}


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
