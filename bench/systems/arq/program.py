"""arq on Redis: one worker of 100 jobs at a time that looks for work every 10 ms, on uvloop.

There is no bulk call: many jobs are sent by calls that wait side by side.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
import uvloop
from arq import Retry, create_pool, func
from arq.connections import RedisSettings
from arq.constants import default_queue_name
from arq.worker import Worker

CONCURRENCY = 100
LOOK_SECONDS = 0.01

SETTINGS = RedisSettings.from_dsn(kit.given("url"))
Context = dict[str, Any]


async def noop(_context: Context, _: int) -> None:
    kit.tally().count()


async def noop_sync(_context: Context, _: int) -> None:
    await asyncio.to_thread(kit.tally().count)


async def kib(_context: Context, text: str) -> str:
    kit.tally().count()
    return text


async def flaky(context: Context, n: int) -> None:
    if kit.is_flaky(n) and context["job_try"] == 1:
        raise Retry
    kit.tally().count()


async def stamp(_context: Context, at_ns: int) -> None:
    kit.tally().stamp(at_ns)


async def prepare(**_: Any) -> None:
    await create_pool(SETTINGS)  # there is nothing to make: a look that the server answers


async def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    redis = await create_pool(SETTINGS)
    return {"seconds": await send_many(redis, task, range(jobs))}


async def send_many(redis: Any, task: str, numbers: range) -> float:
    async def call(n: int) -> None:
        await redis.enqueue_job(task, kit.argument(task, numbers[n]))

    return await kit.from_callers(CONCURRENCY, len(numbers), call)


async def enqueue(jobs: int, callers: int, **_: Any) -> dict[str, float]:
    redis = await create_pool(SETTINGS)

    async def call(n: int) -> None:
        await redis.enqueue_job("noop", n)

    return {"seconds": await kit.from_callers(callers, jobs, call)}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    redis = await create_pool(SETTINGS)

    async def call(at_ns: int) -> None:
        await redis.enqueue_job("stamp", at_ns)

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    redis = await create_pool(SETTINGS)

    async def call(numbers: range) -> None:
        await send_many(redis, task, numbers)

    return {"jobs": await kit.fed(tally, seconds, backlog, call)}


def work(**_: Any) -> None:
    worker = Worker(
        functions=[noop, noop_sync, func(kib, keep_result=3_600), flaky, stamp],
        redis_settings=SETTINGS,
        max_jobs=CONCURRENCY,
        poll_delay=LOOK_SECONDS,
        keep_result=0,
    )
    worker.run()


async def left(**_: Any) -> dict[str, int]:
    redis = await create_pool(SETTINGS)
    count = await redis.zcard(default_queue_name)
    await redis.aclose()
    return {"left": count}


uvloop.install()
kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
