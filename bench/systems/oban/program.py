"""Oban for Python, as its command line starts it: uvloop, orjson; a queue with a limit of 200."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
import orjson
import uvloop
from oban import Job, Oban, Record, worker
from oban.schema import install
from psycopg.types.json import set_json_dumps, set_json_loads

LIMIT = 200
CHUNK = 1_000
LEFT = """
SELECT count(*) FROM oban_jobs WHERE state NOT IN ('completed', 'cancelled', 'discarded')
"""


@worker()
class Noop:
    async def process(self, job: Job) -> None:
        kit.tally().count()


@worker()
class NoopSync:
    async def process(self, job: Job) -> None:
        await asyncio.to_thread(kit.tally().count)


@worker()
class Kib:
    async def process(self, job: Job) -> Record:
        kit.tally().count()
        return Record(job.args["n"])


@worker()
class Flaky:
    async def process(self, job: Job) -> None:
        if kit.is_flaky(job.args["n"]) and job.attempt == 1:
            raise RuntimeError("the first attempt fails")
        kit.tally().count()

    def backoff(self, _: Job) -> int:
        return 0


@worker()
class Stamp:
    async def process(self, job: Job) -> None:
        kit.tally().stamp(job.args["n"])


TASKS: dict[str, Any] = {
    "noop": Noop,
    "noop_sync": NoopSync,
    "kib": Kib,
    "flaky": Flaky,
    "stamp": Stamp,
}


async def connect(url: str) -> Oban:
    return Oban(pool=await Oban.create_pool(url))


async def enqueue_many(oban: Oban, task: str, numbers: range) -> None:
    await oban.enqueue_many(TASKS[task].new({"n": kit.argument(task, n)}) for n in numbers)


async def prepare(url: str) -> None:
    async with await Oban.create_pool(url) as pool:
        await install(pool)


async def fill(url: str, jobs: int, task: str) -> dict[str, float]:
    oban = await connect(url)
    return {"seconds": await kit.filled(jobs, CHUNK, lambda some: enqueue_many(oban, task, some))}


async def enqueue(url: str, jobs: int, callers: int, **_: Any) -> dict[str, float]:
    oban = await connect(url)

    async def call(n: int) -> None:
        await oban.enqueue(TASKS["noop"].new({"n": n}))

    return {"seconds": await kit.from_callers(callers, jobs, call)}


async def pace(url: str, jobs: int, gap_ms: float) -> dict[str, float]:
    oban = await connect(url)

    async def call(at_ns: int) -> None:
        await oban.enqueue(TASKS["stamp"].new({"n": at_ns}))

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(url: str, task: str, seconds: float, backlog: int, tally: str) -> dict[str, int]:
    oban = await connect(url)
    jobs = await kit.fed(tally, seconds, backlog, lambda some: enqueue_many(oban, task, some))
    return {"jobs": jobs}


async def work(url: str, **_: Any) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    async with await Oban.create_pool(url) as pool, Oban(pool=pool, queues={"default": LIMIT}):
        await asked.wait()


async def left(url: str) -> dict[str, int]:
    async with await Oban.create_pool(url) as pool, pool.connection() as connection:
        row = await (await connection.execute(LEFT)).fetchone()
    return {"left": row[0] if row else 0}


set_json_dumps(orjson.dumps)
set_json_loads(orjson.loads)
uvloop.install()
kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
