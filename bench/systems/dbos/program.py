"""DBOS: each job a workflow on one queue that is looked at every 0.1 seconds.

It has no bulk call, so many are enqueued in one transaction of the caller. A retry is one of a
step inside its workflow.
"""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import kit
import psycopg
import sqlalchemy
from dbos import DBOS, DBOSClient

QUEUE = "bench"
POLL_SECONDS = 0.1
CHUNK = 1_000
LEFT = """
SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING')
"""


@DBOS.workflow(name="noop")
async def noop(n: int) -> None:
    kit.tally().count()


@DBOS.workflow(name="noop_sync")
def noop_sync(n: int) -> None:
    kit.tally().count()


@DBOS.workflow(name="kib")
async def kib(n: str) -> str:
    kit.tally().count()
    return n


@DBOS.step(name="try_flaky", retries_allowed=True, interval_seconds=0, max_attempts=2)
async def try_flaky(n: int) -> None:
    status = DBOS.step_status
    if kit.is_flaky(n) and status is not None and status.current_attempt == 0:
        raise RuntimeError("the first attempt fails")


@DBOS.workflow(name="flaky")
async def flaky(n: int) -> None:
    await try_flaky(n)
    kit.tally().count()


@DBOS.workflow(name="stamp")
async def stamp(n: int) -> None:
    kit.tally().stamp(n)


def driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def options(task: str) -> Any:
    return {"workflow_name": task, "queue_name": QUEUE}


def connect(url: str) -> DBOSClient:
    return DBOSClient(system_database_url=driver(url))


def launch(url: str) -> None:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": driver(url),
            "application_version": "1",
            "executor_id": f"process-{os.getpid()}",
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=POLL_SECONDS)


def prepare(url: str) -> None:
    launch(url)
    DBOS.destroy()


class Bulk:
    def __init__(self, url: str, task: str) -> None:
        self._client = connect(url)
        self._engine = sqlalchemy.create_engine(driver(url))
        self._task = task

    async def enqueue(self, numbers: range) -> None:
        with self._engine.begin() as connection:
            for n in numbers:
                argument = kit.argument(self._task, n)
                self._client.enqueue_in_transaction(connection, options(self._task), argument)


async def fill(url: str, jobs: int, task: str) -> dict[str, float]:
    return {"seconds": await kit.filled(jobs, CHUNK, Bulk(url, task).enqueue)}


def enqueue(url: str, jobs: int, mode: str, callers: int) -> Any:
    client = connect(url)
    if mode == "async":
        return enqueue_async(client, jobs, callers)

    def call(n: int) -> None:
        client.enqueue(options("noop"), n)

    return {"seconds": kit.from_threads(callers, jobs, call)}


async def enqueue_async(client: DBOSClient, jobs: int, callers: int) -> dict[str, float]:
    async def call(n: int) -> None:
        await client.enqueue_async(options("noop"), n)

    return {"seconds": await kit.from_callers(callers, jobs, call)}


async def pace(url: str, jobs: int, gap_ms: float) -> dict[str, float]:
    client = connect(url)

    async def call(at_ns: int) -> None:
        await client.enqueue_async(options("stamp"), at_ns)

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(url: str, task: str, seconds: float, backlog: int, tally: str) -> dict[str, int]:
    return {"jobs": await kit.fed(tally, seconds, backlog, Bulk(url, task).enqueue)}


def work(url: str, **_: Any) -> None:
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    launch(url)
    asked.wait()
    DBOS.destroy(workflow_completion_timeout_sec=2)


def left(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute(LEFT).fetchone()
    return {"left": row[0] if row else 0}


logging.getLogger("dbos").setLevel(logging.WARNING)
kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
