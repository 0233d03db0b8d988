"""What SQLite gives when nothing but Jobpipe's own statements stands between, at the same safety.

No leases, no retries, no wake-ups: a bare loop that finishes 1,000 and claims the next 1,000 in one
transaction. Nobody could use it; it is the floor that a figure stands on.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import floor
import kit

from jobpipe import Jobpipe
from jobpipe.model.job import Claimed
from jobpipe.store import statements
from jobpipe.store.ops.claim import claim
from jobpipe.store.ops.finish import finish
from jobpipe.store.port import Operation
from jobpipe.store.script import execute, script
from jobpipe.store.stepping import step

BATCH = 1_000
CHUNK = 10_000
EMPTY_SECONDS = 0.005
WAIT_SECONDS = 60
SCRIPTS = {
    name: script(sql) for name, sql in statements.load("jobpipe.store.sqlite", "jobpipe_").items()
}
INSERT = (
    f"INSERT INTO jobpipe_job ({', '.join(floor.COLUMNS)})"
    " SELECT id, id, 'noop', 'default', 0, :args, 5, 3, :now, :now, 'queued'"
    " FROM (SELECT coalesce(max(seq), 0) + 1 AS id FROM sqlite_sequence WHERE name = 'jobpipe_job')"
)
INSERT_MANY = (
    f"INSERT INTO jobpipe_job ({', '.join(floor.COLUMNS)})"
    f" VALUES ({', '.join('?' * len(floor.COLUMNS))})"
)


def connect(url: str) -> sqlite3.Connection:
    path = url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None, timeout=WAIT_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -32000")
    return connection


def prepare(url: str) -> None:
    Jobpipe(url).counts()
    connect(url).execute("INSERT INTO jobpipe_lane (queue, priority) VALUES ('default', 0)")


def fill(url: str, jobs: int, task: str) -> dict[str, float]:
    connection = connect(url)
    begun = range(0, jobs, CHUNK)
    seconds = (
        kit.timed(lambda start=start: _insert(connection, start, min(CHUNK, jobs - start)))
        for start in begun
    )
    return {"seconds": sum(seconds)}


async def feed(url: str, task: str, seconds: float, backlog: int, tally: str) -> dict[str, int]:
    connection = connect(url)

    async def call(numbers: range) -> None:
        _insert(connection, numbers.start, len(numbers))

    return {"jobs": await kit.fed(tally, seconds, backlog, call, BATCH)}


def _insert(connection: sqlite3.Connection, start: int, size: int) -> None:
    now = time.time_ns() // 1000
    connection.execute("BEGIN IMMEDIATE")
    rows = [floor.row(n + 1, n, now) for n in range(start, start + size)]
    connection.executemany(INSERT_MANY, rows)
    connection.execute("COMMIT")


def enqueue(url: str, jobs: int, mode: str, callers: int) -> dict[str, float]:
    own = threading.local()

    def call(n: int) -> None:
        if not hasattr(own, "connection"):
            own.connection = connect(url)
        own.connection.execute(INSERT, {"args": floor.args(n), "now": time.time_ns() // 1000})

    return {"seconds": kit.from_threads(callers, jobs, call)}


def work(url: str, tally: str, **_: Any) -> None:
    counts, connection = kit.tally(), connect(url)
    connection.row_factory = sqlite3.Row
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    jobs: list[Claimed] = []
    while not stopped or jobs:
        connection.execute("BEGIN IMMEDIATE")
        done = _finish(connection, jobs) if jobs else []
        jobs = []
        if not stopped:
            jobs = _ask(connection, claim(1, [floor.LANE], BATCH, after={}, done=done))
        connection.execute("COMMIT")
        for job in jobs:
            json.loads(job.args)
            counts.count()
        if not jobs:
            time.sleep(EMPTY_SECONDS)


def _finish(connection: sqlite3.Connection, jobs: list[Claimed]) -> list[int]:
    """Finish what was claimed; return the claim record that is no longer needed."""
    _ask(connection, finish(floor.successes(jobs), time.monotonic_ns()))
    return [jobs[0].claim_id]


def _ask(connection: sqlite3.Connection, operation: Operation[Any]) -> Any:
    """Run one of the store's own operations on the bare connection."""
    cursor, now = connection.cursor(), time.time_ns() // 1000
    return step(operation, lambda asked: execute(cursor, SCRIPTS[asked.name], asked, now))


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, feed=feed, work=work, left=floor.left)
