"""Huey on a SQLite file: four threads that look for work every 10 ms; no sync to disk.

A job is deleted when a thread takes it, so one that meets a crash is lost; there is no bulk call.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
from huey import SqliteHuey
from huey.api import Task

THREADS = 4
LOOK_SECONDS = 0.01

huey = SqliteHuey(
    "bench",
    filename=kit.given("url").removeprefix("sqlite:///"),
    fsync=False,
    timeout=60,  # a wait for other writers is no failure
)


@huey.task()
def noop(_: int) -> None:
    kit.tally().count()


@huey.task()
def kib(text: str) -> str:
    kit.tally().count()
    return text


@huey.task(retries=1, context=True)
def flaky(n: int, task: Task) -> None:
    if kit.is_flaky(n) and task.retries:
        raise RuntimeError("the first attempt fails")
    kit.tally().count()


@huey.task()
def stamp(at_ns: int) -> None:
    kit.tally().stamp(at_ns)


TASKS = {"noop": noop, "noop_sync": noop, "kib": kib, "flaky": flaky, "stamp": stamp}


def prepare(**_: Any) -> None:
    huey.storage.initialize_schema()


def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    call = TASKS[task]
    return {"seconds": kit.from_threads(1, jobs, lambda n: call(kit.argument(task, n)))}


def enqueue(jobs: int, callers: int, **_: Any) -> dict[str, float]:
    return {"seconds": kit.from_threads(callers, jobs, noop)}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    async def call(at_ns: int) -> None:
        stamp(at_ns)

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    async def call(numbers: range) -> None:
        for n in numbers:
            TASKS[task](kit.argument(task, n))

    return {"jobs": await kit.fed(tally, seconds, backlog, call)}


def work(**_: Any) -> None:
    consumer = huey.create_consumer(
        workers=THREADS,
        periodic=False,
        initial_delay=LOOK_SECONDS,
        max_delay=LOOK_SECONDS,
        graceful_signal="TERM",
    )
    consumer.run()


def left(**_: Any) -> dict[str, int]:
    return {"left": huey.pending_count() + huey.scheduled_count()}


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
