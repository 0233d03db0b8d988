"""Jobpipe as a user runs it: the public API, and workers by ``jobpipe worker``."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent))

import kit

os.environ["BENCH_URL"] = kit.given("url")
sys.path.insert(0, str(FOLDER))

CHUNK = 5_000
FINAL = ("succeeded", "failed", "cancelled")
SLOTS = {"noop_sync": 10}
"""Slots of a worker: threads for plain functions; a coroutine costs nothing to keep."""


def prepare(url: str) -> None:
    from tasks import jp

    jp.counts()


def fill(url: str, jobs: int, task: str) -> dict[str, float]:
    from tasks import TASKS, jp

    call = TASKS[task].call
    jp.counts()  # opens the connection
    seconds = 0.0
    for start in range(0, jobs, CHUNK):
        numbers = range(start, min(start + CHUNK, jobs))
        seconds += kit.timed(
            lambda numbers=numbers: jp.enqueue_many(call(kit.argument(task, n)) for n in numbers)
        )
    jp.close()
    return {"seconds": seconds}


def enqueue(url: str, jobs: int, mode: str, callers: int) -> Any:
    from tasks import noop

    if mode == "sync":
        return {"seconds": kit.from_threads(callers, jobs, noop.enqueue)}
    return _enqueue_async(jobs, callers)


async def _enqueue_async(jobs: int, callers: int) -> dict[str, float]:
    from tasks import noop

    return {"seconds": await kit.from_callers(callers, jobs, noop.aenqueue)}


async def pace(url: str, jobs: int, gap_ms: float) -> dict[str, float]:
    from tasks import jp, stamp

    await jp.acounts()  # opens the connection
    return {"seconds": await kit.paced(jobs, gap_ms, stamp.aenqueue)}


async def feed(url: str, task: str, seconds: float, backlog: int, tally: str) -> dict[str, int]:
    from tasks import TASKS, jp

    async def call(numbers: range) -> None:
        await jp.aenqueue_many(TASKS[task].call(kit.argument(task, n)) for n in numbers)

    return {"jobs": await kit.fed(tally, seconds, backlog, call)}


def work(
    url: str, tally: str, kind: str = "noop", processes: int = 1, statements: str = "", **_: Any
) -> None:
    """Become a worker; ``statements`` is a file that grows by a byte for each that SQLite runs."""
    os.environ["BENCH_TALLY"] = tally
    os.environ["PYTHONPATH"] = str(FOLDER)
    if statements:
        os.environ["BENCH_STATEMENTS"] = statements
        os.environ["PYTHONPATH"] += f"{os.pathsep}{FOLDER / 'traced'}"
    worker = Path(sys.executable).with_name("jobpipe")
    flags = {
        "--concurrency": SLOTS.get(kind, 100),
        "--processes": processes,
        "--log-level": "warning",
    }
    given = [str(text) for flag in flags.items() for text in flag]
    os.execv(worker, [str(worker), "worker", "tasks:jp", *given])


def left(url: str) -> dict[str, int]:
    from tasks import jp

    return {"left": sum(n for state, n in jp.counts().items() if state not in FINAL)}


def probe(verb: str, **given: Any) -> Any:
    """Do what only the cases of Jobpipe itself ask for."""
    import probes

    return probes.VERBS[verb](**given)


kit.run(
    prepare=prepare,
    fill=fill,
    enqueue=enqueue,
    pace=pace,
    feed=feed,
    work=work,
    left=left,
    **{verb: partial(probe, verb) for verb in ("clone", "claims", "worked")},
)
