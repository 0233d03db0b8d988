"""Awa: its queue storage, 256 workers, bulk by COPY.

Its view of all jobs takes a minute to read while the planner knows nothing of fresh tables, so
what is left is told by its counters: enqueued but not claimed, claimed but not closed, put off.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import awa
import kit
import psycopg

WORKERS = 256
CHUNK = 5_000
LEFT = """
SELECT (SELECT coalesce(sum(awa.sequence_next_value(tail.seq_name)
                            - awa.sequence_next_value(head.seq_name)), 0)
          FROM awa.queue_enqueue_heads AS tail
          JOIN awa.queue_claim_heads AS head USING (queue, priority, enqueue_shard))
     + (SELECT count(*) FROM awa.lease_claims)
     + (SELECT coalesce(sum(claimed_count), 0) FROM awa.lease_claim_batches)
     - (SELECT count(*) FROM awa.lease_claim_closures)
     - (SELECT coalesce(sum(closed_count), 0) FROM awa.lease_claim_closure_batches)
     + (SELECT count(*) FROM awa.deferred_jobs)
"""


@dataclass
class Number:
    n: int


@dataclass
class Text:
    text: str


def arguments(task: str, n: int) -> Number | Text:
    return Text(kit.TEXT) if task == "kib" else Number(n)


async def enqueue_many(client: awa.AsyncClient, task: str, numbers: range) -> None:
    await client.enqueue_many_copy([arguments(task, n) for n in numbers], kind=task)


async def prepare(url: str) -> None:
    """The first worker on an empty database puts the queue storage in place."""
    client = awa.AsyncClient(url)
    await client.migrate()
    declare(client, None)
    await client.start([("default", WORKERS)])
    await client.shutdown()


async def fill(url: str, jobs: int, task: str) -> dict[str, float]:
    client = awa.AsyncClient(url)
    seconds = await kit.filled(jobs, CHUNK, lambda some: enqueue_many(client, task, some))
    return {"seconds": seconds}


def enqueue(url: str, jobs: int, mode: str, callers: int) -> Any:
    if mode == "sync":
        client = awa.Client(url)
        return {
            "seconds": kit.from_threads(
                callers, jobs, lambda n: client.insert(Number(n), kind="noop")
            )
        }
    return enqueue_async(url, jobs, callers)


async def enqueue_async(url: str, jobs: int, callers: int) -> dict[str, float]:
    client = awa.AsyncClient(url)

    async def call(n: int) -> None:
        await client.insert(Number(n), kind="noop")

    return {"seconds": await kit.from_callers(callers, jobs, call)}


async def pace(url: str, jobs: int, gap_ms: float) -> dict[str, float]:
    client = awa.AsyncClient(url)

    async def call(at_ns: int) -> None:
        await client.insert(Number(at_ns), kind="stamp")

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(url: str, task: str, seconds: float, backlog: int, tally: str) -> dict[str, int]:
    client = awa.AsyncClient(url)
    jobs = await kit.fed(tally, seconds, backlog, lambda some: enqueue_many(client, task, some))
    return {"jobs": jobs}


def declare(client: awa.AsyncClient, tally: Any) -> None:
    @client.task(Number, kind="noop")
    async def noop(_: awa.Job[Number]) -> None:
        tally.count()

    @client.task(Number, kind="noop_sync")
    async def noop_sync(_: awa.Job[Number]) -> None:
        await asyncio.to_thread(tally.count)

    @client.task(Text, kind="kib")
    async def kib(_: awa.Job[Text]) -> None:
        tally.count()

    @client.task(Number, kind="flaky")
    async def flaky(job: awa.Job[Number]) -> awa.RetryAfter | None:
        if kit.is_flaky(job.args.n) and job.attempt == 1:
            return awa.RetryAfter(0)
        tally.count()
        return None

    @client.task(Number, kind="stamp")
    async def stamp(job: awa.Job[Number]) -> None:
        tally.stamp(job.args.n)


async def work(url: str, **_: Any) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    client = awa.AsyncClient(url)
    declare(client, kit.tally())
    await client.start([("default", WORKERS)])
    await asked.wait()
    await client.shutdown()


def left(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute(LEFT).fetchone()
    return {"left": int(row[0]) if row else 0}


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
