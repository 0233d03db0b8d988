"""litequeue on a SQLite file: a queue of texts, so the worker's loop is that of its documents.

A message that is done stays as a row. It keeps no results and counts no attempts.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
from litequeue import LiteQueue

CHUNK = 1_000
LOOK_SECONDS = 0.005

queue = LiteQueue(kit.given("url").removeprefix("sqlite:///"), timeout=60)


def put(task: str, argument: Any) -> None:
    queue.put(json.dumps([task, argument]))


def put_many(task: str, numbers: Iterable[int]) -> None:
    with queue.transaction():
        for n in numbers:
            put(task, kit.argument(task, n))


def prepare(**_: Any) -> None:
    queue.qsize()  # the table was made when the queue was opened


def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    def chunks() -> None:
        for start in range(0, jobs, CHUNK):
            put_many(task, range(start, min(start + CHUNK, jobs)))

    return {"seconds": kit.timed(chunks)}


def enqueue(jobs: int, callers: int, **_: Any) -> dict[str, float]:
    return {"seconds": kit.from_threads(callers, jobs, lambda n: put("noop", n))}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    async def call(at_ns: int) -> None:
        put("stamp", at_ns)

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    async def call(numbers: range) -> None:
        put_many(task, numbers)

    return {"jobs": await kit.fed(tally, seconds, backlog, call)}


def run_job(task: str, argument: Any) -> None:
    if task == "stamp":
        kit.tally().stamp(argument)
        return
    if task == "flaky" and kit.fails_now(argument):
        raise RuntimeError("the first attempt fails")
    kit.tally().count()


def work(**_: Any) -> None:
    asked_to_end = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked_to_end.append(number))
    while not asked_to_end:
        message = queue.pop()
        if message is None:
            time.sleep(LOOK_SECONDS)
            continue
        try:
            run_job(*json.loads(message.data))
        except RuntimeError:
            queue.retry(message.message_id)
        else:
            queue.done(message.message_id)


def left(**_: Any) -> dict[str, int]:
    return {"left": queue.qsize()}


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
