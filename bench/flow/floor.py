"""What 50 slots can come to at all: three bare statements in one transaction, and no framework.

Between two jobs of a slot the outcome is written, the next job let in, and claimed, each by its
smallest statement on a table that holds no more than that needs.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Protocol

import asyncpg

from bench.flow.case import Bound, Case, Cases, Figures, Ground
from bench.flow.limits import JOB_SECONDS, MOST_PER_SECOND, SLOTS
from jobpipe import bootstrap

TABLE = """
    CREATE TABLE floor_job (id bigint PRIMARY KEY, state text, token bigint, finished_at float);
    CREATE INDEX floor_line ON floor_job (id) WHERE state = 'blocked';
"""
FINISH = """
    UPDATE floor_job SET state = 'succeeded', finished_at = {now}
    WHERE id IN ({ids}) AND state = 'running'
"""
LET_IN = """
    UPDATE floor_job SET state = 'queued'
    WHERE id IN (
        SELECT id FROM floor_job WHERE state = 'blocked' AND id > {after} ORDER BY id LIMIT {most}
    )
    RETURNING id
"""
CLAIM = """
    UPDATE floor_job SET state = 'running', token = token + 1
    WHERE id IN ({ids}) AND state = 'queued'
    RETURNING id
"""


class Table(Protocol):
    """Jobs in a line."""

    async def fill(self, jobs: int) -> None: ...

    async def turn_over(self, ended: Sequence[int], after: int) -> list[int]:
        """Write which jobs ended; return as many beyond a number, claimed."""
        ...

    async def close(self) -> None: ...


class Server:
    """On PostgreSQL, by one connection."""

    @classmethod
    async def opened(cls, url: str) -> Table:
        table = cls()
        table._connection = await asyncpg.connect(url)
        return table

    _connection: asyncpg.Connection

    async def fill(self, jobs: int) -> None:
        link = self._connection
        await link.execute(TABLE)
        numbers = "generate_series(1, $1::bigint) AS id"
        await link.execute(f"INSERT INTO floor_job SELECT id, 'blocked', 0 FROM {numbers}", jobs)
        await link.execute("ANALYZE floor_job")
        ids = "SELECT unnest($1::bigint[])"
        self._finish = await link.prepare(
            FINISH.format(ids=ids, now="extract(epoch FROM clock_timestamp())")
        )
        self._let_in = await link.prepare(LET_IN.format(after="$1", most="$2"))
        self._claim = await link.prepare(CLAIM.format(ids=ids))

    async def turn_over(self, ended: Sequence[int], after: int) -> list[int]:
        async with self._connection.transaction():
            await self._finish.fetch(ended)
            free = await self._let_in.fetch(after, len(ended) or SLOTS)
            claimed = await self._claim.fetch([row[0] for row in free])
        return [row[0] for row in claimed]

    async def close(self) -> None:
        await self._connection.close()


class File:
    """On SQLite, by one connection in a thread, each commit synced."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    async def fill(self, jobs: int) -> None:
        link = self._connection
        link.execute("PRAGMA journal_mode = WAL")
        link.execute("PRAGMA synchronous = FULL")
        link.executescript(f"BEGIN; {TABLE}")
        rows = ((id,) for id in range(1, jobs + 1))
        link.executemany("INSERT INTO floor_job VALUES (?, 'blocked', 0, NULL)", rows)
        link.execute("COMMIT")

    async def turn_over(self, ended: Sequence[int], after: int) -> list[int]:
        return await asyncio.to_thread(self._turn_over, ended, after)

    def _turn_over(self, ended: Sequence[int], after: int) -> list[int]:
        run, ids = self._connection.execute, "SELECT value FROM json_each(?)"
        run("BEGIN IMMEDIATE")
        run(FINISH.format(ids=ids, now="julianday()"), [json.dumps(ended)])
        free = run(LET_IN.format(after="?", most="?"), [after, len(ended) or SLOTS]).fetchall()
        claimed = run(CLAIM.format(ids=ids), [json.dumps([row[0] for row in free])]).fetchall()
        run("COMMIT")
        return [row[0] for row in claimed]

    async def close(self) -> None:
        self._connection.close()


async def floor(ground: Ground) -> Figures:
    """Keep 50 slots busy."""
    url = ground.url
    table: Table = (
        await Server.opened(url) if ground.server_pids else File(bootstrap.sqlite_path(url))
    )
    wanted = round(MOST_PER_SECOND * ground.size.seconds)
    try:
        await table.fill(wanted)
        loop = _Loop(table)
        await loop.turn([])
        began = time.perf_counter()
        while loop.ended < wanted - 2 * SLOTS:
            await loop.turn(await loop.some_ended())
        took = time.perf_counter() - began
        await loop.rest()
    finally:
        await table.close()
    return {
        "jobs_per_second": round(loop.ended / took),
        "share": round(loop.ended / took / MOST_PER_SECOND, 3),
    }


class _Loop:
    """Runs jobs, and writes all that have ended before any other."""

    def __init__(self, table: Table) -> None:
        self.ended = 0
        self._table = table
        self._waits: list[int] = []
        self._news = asyncio.Event()
        self._jobs: set[asyncio.Task[None]] = set()
        self._after = 0

    async def turn(self, ended: Sequence[int]) -> None:
        for id in await self._table.turn_over(ended, self._after):
            self._after = max(self._after, id)
            job = asyncio.create_task(self._work(id))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def some_ended(self) -> list[int]:
        await self._news.wait()
        self._news.clear()
        ended, self._waits = self._waits, []
        return ended

    async def rest(self) -> None:
        await asyncio.gather(*self._jobs)

    async def _work(self, id: int) -> None:
        await asyncio.sleep(JOB_SECONDS)
        self.ended += 1
        self._waits.append(id)
        self._news.set()


CASES: Cases = {
    "slots-floor": Case(floor, "what slots are to be seen beside", [Bound("share")]),
}
