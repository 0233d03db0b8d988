"""One enqueue after the other, step by step: the round trip, the row, the commit, Jobpipe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

import asyncpg
import psycopg

from bench.profile.figures import (
    CALLS,
    DEFAULTS,
    ROUNDS,
    Figures,
    application,
    each,
    note,
    served,
    tell,
)
from jobpipe import bootstrap
from jobpipe.delivery.hub import Hub
from jobpipe.store.ops.enqueue import enqueue_plain

LOOPS = ("asyncio", "uvloop")
ARGS = "[[7],{}]"
INSERT = """
INSERT INTO jobpipe.job (
    id, task, queue, priority, args, max_attempts, max_losses, created_at, queued_at, state, rank
)
SELECT id, 'noop', 'default', 0, CAST($1 AS json), 5, 3, now, now, 'queued', id
FROM nextval('jobpipe.rank') AS id
CROSS JOIN CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint) AS now
"""


def profile() -> None:
    """Print what each step of an enqueue takes, awaited on two kinds of loop, and blocking."""
    awaited: dict[str, Figures] = {name: {} for name in LOOPS}
    blocking: Figures = {}
    with served() as server:
        for _ in range(ROUNDS):
            for name, found in awaited.items():
                with asyncio.Runner(loop_factory=__import__(name).new_event_loop) as runner:
                    runner.run(_awaited(server.fresh(), found))
            _blocking(server.fresh(), blocking)
    for name, found in awaited.items():
        tell(f"Awaited, on {name}", "us a call", found)
    tell("Blocking", "us a call", blocking)


async def _awaited(url: str, found: Figures) -> None:
    jp, noop = application(url)
    await noop.aenqueue(0)
    bare, hasty = await asyncpg.connect(url), await asyncpg.connect(url)
    await hasty.execute("SET synchronous_commit = off")
    one, insert = await bare.prepare("SELECT 1"), await bare.prepare(INSERT)
    hasty_insert = await hasty.prepare(INSERT)
    backend = bootstrap.connect(jp.settings, Hub())  # a hub of its own: nobody is told
    job = noop.call(7).new_job(DEFAULTS)
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "bare SELECT 1": one.fetch,
        "bare INSERT, its commit not waited for": lambda: hasty_insert.fetch(ARGS),
        "bare INSERT": lambda: insert.fetch(ARGS),
        "the operation in the store": lambda: backend.async_store.run(enqueue_plain([job])),
        "aenqueue": lambda: noop.aenqueue(7),
    }
    for _ in range(ROUNDS):
        for name, step in steps.items():
            began, used = time.perf_counter(), time.process_time()
            for _ in range(CALLS):
                await step()
            _note(found, name, time.perf_counter() - began, time.process_time() - used)
        note(found, "to check the call alone", each(lambda: noop.call(7).new_job(DEFAULTS)))
    await backend.async_store.close()
    await asyncio.to_thread(backend.close)
    await bare.close()
    await hasty.close()
    await jp.aclose()


def _blocking(url: str, found: Figures) -> None:
    jp, noop = application(url)
    noop.enqueue(0)
    job = noop.call(7).new_job(DEFAULTS)
    backend = bootstrap.connect(jp.settings, Hub())
    with closing(psycopg.connect(url, autocommit=True)) as bare:
        cursor = psycopg.RawCursor(bare)
        steps: dict[str, Callable[[], object]] = {
            "bare SELECT 1": lambda: cursor.execute("SELECT 1"),
            "bare INSERT": lambda: cursor.execute(INSERT, [ARGS]),
            "the operation in the store": lambda: backend.store.run(enqueue_plain([job])),
            "enqueue": lambda: noop.enqueue(7),
        }
        for _ in range(ROUNDS):
            for name, step in steps.items():
                began, used = time.perf_counter(), time.process_time()
                for _ in range(CALLS):
                    step()
                _note(found, name, time.perf_counter() - began, time.process_time() - used)
    backend.close()
    jp.close()


def _note(found: Figures, name: str, seconds: float, used: float) -> None:
    """Keep what a step took by the clock, and the processor's time of this process in it."""
    note(found, name, seconds / CALLS * 1e6)
    note(found, f"{name}: the caller's processor", used / CALLS * 1e6)
