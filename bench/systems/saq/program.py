"""SAQ on Redis: one worker of 50 jobs at a time, on uvloop; at 100 it runs out of connections.

There is no bulk call: many jobs are sent by calls that wait side by side.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
import uvloop
from saq import Queue, Worker

CONCURRENCY = 50
FORGET_AT_ONCE = -1

Context = dict[str, Any]


async def noop(_context: Context, *, argument: int) -> None:
    kit.tally().count()


def noop_sync(_context: Context, *, argument: int) -> None:
    kit.tally().count()


async def kib(_context: Context, *, argument: str) -> str:
    kit.tally().count()
    return argument


async def flaky(context: Context, *, argument: int) -> None:
    if kit.is_flaky(argument) and context["job"].attempts == 1:
        raise RuntimeError("the first attempt fails")
    kit.tally().count()


async def stamp(_context: Context, *, argument: int) -> None:
    kit.tally().stamp(argument)


TASKS = {task.__name__: task for task in (noop, noop_sync, kib, flaky, stamp)}
OPTIONS = {"kib": {}, "flaky": {"retries": 2, "ttl": FORGET_AT_ONCE}}


@asynccontextmanager
async def connected() -> AsyncIterator[Queue]:
    queue = Queue.from_url(kit.given("url"))
    await queue.connect()
    try:
        yield queue
    finally:
        await queue.disconnect()


async def send(queue: Queue, task: str, argument: Any) -> None:
    options = OPTIONS.get(task, {"ttl": FORGET_AT_ONCE})
    await queue.enqueue(task, argument=argument, **options)


async def send_many(queue: Queue, task: str, numbers: range) -> float:
    async def call(n: int) -> None:
        await send(queue, task, kit.argument(task, numbers[n]))

    return await kit.from_callers(CONCURRENCY, len(numbers), call)


async def prepare(**_: Any) -> None:
    await left()  # there is nothing to make: a look that the server answers


async def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    async with connected() as queue:
        return {"seconds": await send_many(queue, task, range(jobs))}


async def enqueue(jobs: int, callers: int, **_: Any) -> dict[str, float]:
    async with connected() as queue:
        call = kit.from_callers(callers, jobs, lambda n: send(queue, "noop", n))
        return {"seconds": await call}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    async with connected() as queue:
        call = kit.paced(jobs, gap_ms, lambda at_ns: send(queue, "stamp", at_ns))
        return {"seconds": await call}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    async with connected() as queue:
        call = kit.fed(tally, seconds, backlog, lambda some: send_many(queue, task, some))
        return {"jobs": await call}


async def work(**_: Any) -> None:
    async with connected() as queue:
        await Worker(queue, functions=list(TASKS.items()), concurrency=CONCURRENCY).start()


async def left(**_: Any) -> dict[str, int]:
    async with connected() as queue:
        return {"left": await queue.count("incomplete")}


uvloop.install()
kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
