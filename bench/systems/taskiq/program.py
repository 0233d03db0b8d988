"""Taskiq on Redis or RabbitMQ: the process that its worker command starts, on uvloop.

There is no bulk call: many jobs are sent by calls that wait side by side.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import aio_pika
import kit
import redis
import uvloop
from taskiq import AsyncBroker, SimpleRetryMiddleware
from taskiq.cli.common_args import LogLevel
from taskiq.cli.worker.args import WorkerArgs
from taskiq.cli.worker.run import start_listen
from taskiq_aio_pika import AioPikaBroker, Queue, QueueType
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

CONCURRENCY = 100
PREFETCH = 100
ON_REDIS = kit.given("variant") == "redis"
URL = kit.given("url")
QUEUE = "taskiq"


def chosen() -> AsyncBroker:
    if not ON_REDIS:
        return AioPikaBroker(
            URL,
            qos=CONCURRENCY + PREFETCH,
            task_queues=[Queue(name=QUEUE, type=QueueType.CLASSIC)],
        )
    queue = RedisStreamBroker(URL, queue_name=QUEUE)
    if kit.given("kind") == "kib":  # with a place for results, every task writes one
        return queue.with_result_backend(RedisAsyncResultBackend(URL))
    return queue


broker = chosen().with_middlewares(SimpleRetryMiddleware())


@broker.task(task_name="noop")
async def noop(_: int) -> None:
    kit.tally().count()


@broker.task(task_name="noop_sync")
def noop_sync(_: int) -> None:
    kit.tally().count()


@broker.task(task_name="kib")
async def kib(text: str) -> str:
    kit.tally().count()
    return text


@broker.task(task_name="flaky", retry_on_error=True, max_retries=5)
async def flaky(n: int) -> None:
    if kit.fails_now(n):
        raise RuntimeError("the first attempt fails")
    kit.tally().count()


@broker.task(task_name="stamp")
async def stamp(at_ns: int) -> None:
    kit.tally().stamp(at_ns)


TASKS = {"noop": noop, "noop_sync": noop_sync, "kib": kib, "flaky": flaky, "stamp": stamp}


async def started(verb: Callable[[], Awaitable[Any]]) -> Any:
    """Do the verb with the broker connected."""
    await broker.startup()
    try:
        return await verb()
    finally:
        await broker.shutdown()


async def send_many(task: str, numbers: range) -> float:
    async def call(n: int) -> None:
        await TASKS[task].kiq(kit.argument(task, numbers[n]))

    return await kit.from_callers(CONCURRENCY, len(numbers), call)


async def prepare(**_: Any) -> None:
    await started(lambda: asyncio.sleep(0))


async def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    return {"seconds": await started(lambda: send_many(task, range(jobs)))}


async def enqueue(jobs: int, callers: int, **_: Any) -> dict[str, float]:
    return {"seconds": await started(lambda: kit.from_callers(callers, jobs, noop.kiq))}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    return {"seconds": await started(lambda: kit.paced(jobs, gap_ms, stamp.kiq))}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    async def call(numbers: range) -> None:
        await send_many(task, numbers)

    return {"jobs": await started(lambda: kit.fed(tally, seconds, backlog, call))}


def work(**_: Any) -> None:
    start_listen(
        WorkerArgs(
            broker=broker,
            modules=[],
            configure_logging=False,
            log_level=LogLevel.WARNING,
            no_parse=True,
            max_async_tasks=CONCURRENCY,
            max_prefetch=PREFETCH,
        )
    )


async def left(**_: Any) -> dict[str, int]:
    if ON_REDIS:
        with redis.Redis.from_url(URL) as client:
            groups = client.xinfo_groups(QUEUE)
            return {"left": sum(group["lag"] + group["pending"] for group in groups)}
    async with await aio_pika.connect(URL) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(QUEUE, passive=True)
        return {"left": queue.declaration_result.message_count}


uvloop.install()
kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
