"""RQ on Redis: the worker that runs jobs in its own process, not in a fork of it each."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
import tasks
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.queue import EnqueueData

CHUNK = 1_000

TASKS: dict[str, Any] = {
    "noop": tasks.noop,
    "noop_sync": tasks.noop,
    "kib": tasks.kib,
    "flaky": tasks.flaky,
    "stamp": tasks.stamp,
}
AGAIN = {"flaky": Retry(max=4)}
"""A process knows only of its own failures, so that the retry may fail in another one."""

redis = Redis.from_url(kit.given("url"))
queue = Queue(connection=redis)


def described(task: str, n: int) -> EnqueueData:
    return Queue.prepare_data(TASKS[task], [kit.argument(task, n)], retry=AGAIN.get(task))


async def send_many(task: str, numbers: range) -> None:
    queue.enqueue_many([described(task, n) for n in numbers])


def prepare(**_: Any) -> None:
    redis.ping()  # there is nothing to make


async def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    return {"seconds": await kit.filled(jobs, CHUNK, lambda some: send_many(task, some))}


def enqueue(jobs: int, callers: int, **_: Any) -> dict[str, float]:
    call = partial(queue.enqueue, tasks.noop)
    return {"seconds": kit.from_threads(callers, jobs, call)}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    async def call(at_ns: int) -> None:
        queue.enqueue(tasks.stamp, at_ns)

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    return {"jobs": await kit.fed(tally, seconds, backlog, lambda some: send_many(task, some))}


def work(**_: Any) -> None:
    worker = SimpleWorker([queue], connection=redis, log_job_description=False)
    worker.work(logging_level="WARNING")


def left(**_: Any) -> dict[str, int]:
    scheduled, started = queue.scheduled_job_registry, queue.started_job_registry
    return {"left": queue.count + len(scheduled) + len(started)}


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
