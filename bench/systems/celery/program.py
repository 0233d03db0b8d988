"""Celery on Redis or RabbitMQ: the solo pool, which runs jobs in the worker's own process.

That costs half the CPU of a pool of child processes, and of threads. There is no bulk call.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
from celery import Celery, Task

PREFETCH = 64
HEARTBEAT_SECONDS = 4
"""A worker looks whether it is to end when it sends one."""

ON_REDIS = kit.given("variant") == "redis"
QUEUE = "celery"

app = Celery(
    "bench",
    broker=kit.given("url"),
    backend=kit.given("url") if ON_REDIS else None,
    task_ignore_result=True,
    worker_prefetch_multiplier=PREFETCH,
    broker_heartbeat=HEARTBEAT_SECONDS,
)


@app.task(name="noop")
def noop(_: int) -> None:
    kit.tally().count()


@app.task(name="kib", ignore_result=not ON_REDIS)
def kib(text: str) -> str:
    kit.tally().count()
    return text


@app.task(name="flaky", bind=True, max_retries=1)
def flaky(self: Task, n: int) -> None:
    if kit.is_flaky(n) and not self.request.retries:
        raise self.retry(countdown=0)
    kit.tally().count()


@app.task(name="stamp")
def stamp(at_ns: int) -> None:
    kit.tally().stamp(at_ns)


TASKS = {"noop": noop, "noop_sync": noop, "kib": kib, "flaky": flaky, "stamp": stamp}


def prepare(**_: Any) -> None:
    with app.connection_for_write() as connection:
        app.amqp.queues[QUEUE](connection.default_channel).declare()


def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    send = TASKS[task].apply_async
    with app.producer_pool.acquire(block=True) as producer:
        seconds = kit.from_threads(
            1, jobs, lambda n: send((kit.argument(task, n),), producer=producer)
        )
    return {"seconds": seconds}


def enqueue(jobs: int, callers: int, **_: Any) -> dict[str, float]:
    return {"seconds": kit.from_threads(callers, jobs, noop.delay)}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    async def call(at_ns: int) -> None:
        stamp.delay(at_ns)

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    async def call(numbers: range) -> None:
        for n in numbers:
            TASKS[task].delay(kit.argument(task, n))

    return {"jobs": await kit.fed(tally, seconds, backlog, call)}


def work(**_: Any) -> None:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
    name = f"--hostname={os.getpid()}@%h"  # each has a queue of its own, named by it
    app.worker_main(["worker", "--pool=solo", "--concurrency=1", name, *quiet])


def left(**_: Any) -> dict[str, int]:
    """Return what waits in the broker; Redis also knows what has been fetched and not confirmed."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        if ON_REDIS:
            return {"left": channel.client.llen(QUEUE) + channel.client.hlen("unacked")}
        return {"left": channel.queue_declare(QUEUE, passive=True).message_count}


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
