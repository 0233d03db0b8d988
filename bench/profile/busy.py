"""A thousand jobs a second on SQLite, one by one: what whoever enqueues and the worker wait for.

They are two processes, and each notes of its own writes how long it waited for its turn, how long
it then wrote, and how long the commit took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from bench.harness.samples import percentile
from bench.profile.figures import ROUNDS, Figures, beside, note, tell
from jobpipe import Jobpipe
from jobpipe.store.sqlite import connection
from jobpipe.store.sqlite.turn import Turn

JOBS, WARM = 4_000, 20
GAP_SECONDS = 0.001

Spans = dict[str, list[float]]
"""Microseconds of each write, by what they were spent on."""


def profile() -> None:
    """Print what a write is made of on either side, and how much of the time somebody writes."""
    found: Figures = {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            _noted(f"sqlite:///{Path(folder) / 'jobs.db'}", found)
    tell("A thousand jobs a second on SQLite", "median (range)", found)


def _noted(url: str, found: Figures) -> None:
    Jobpipe(url).counts()  # makes the schema
    with _watched() as spans:
        seconds, said = beside("bench.profile.busy", url, lambda: asyncio.run(_paced(url)))
    told = json.loads(said)
    delays = told.pop("pickup")[WARM:]
    for percent in (50, 99):
        note(found, f"pickup p{percent}, ms", percentile(delays, percent))
    share = 0.0
    for name, spent in (("whoever enqueues", spans), ("the worker", told)):
        note(found, f"{name}: commits a second", len(spent["commit"]) / seconds)
        for what, values in spent.items():
            note(found, f"{name}: {what}, us p50", median(values))
            note(found, f"{name}: {what}, us p99", percentile(values, 99))
        share += (sum(spent["write"]) + sum(spent["commit"])) / 1e6 / seconds
    note(found, "somebody holds the write lock, % of the time", 100 * share)


@contextmanager
def _watched() -> Iterator[Spans]:
    """Note what each write of this process is made of."""
    spans: Spans = defaultdict(list)
    begin, commit = Turn.begin_write, connection.commit
    since = 0.0

    def begin_noting(turn: Turn, handle: Any) -> None:
        nonlocal since
        began = time.perf_counter()
        begin(turn, handle)
        since = time.perf_counter()
        spans["wait for the turn"].append((since - began) * 1e6)

    def commit_noting(handle: Any) -> None:
        began = time.perf_counter()
        spans["write"].append((began - since) * 1e6)
        commit(handle)
        spans["commit"].append((time.perf_counter() - began) * 1e6)

    with (
        patch.object(Turn, "begin_write", begin_noting),
        patch("jobpipe.store.sqlite.writer.commit", commit_noting),
    ):
        yield spans


async def _paced(url: str) -> float:
    """Enqueue a job each millisecond; return the seconds that it took."""
    jp = Jobpipe(url)
    task = jp.task(name="stamp")(_stamp)
    began = time.perf_counter()
    for number in range(JOBS + WARM):
        ahead = began + number * GAP_SECONDS - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        await task.aenqueue(time.monotonic_ns())
    await jp.aclose()
    return time.perf_counter() - began


_delays: list[float] = []


async def _stamp(at_ns: int) -> None:
    _delays.append((time.monotonic_ns() - at_ns) / 1e6)


async def _work(url: str) -> None:
    """Run jobs until the other process hangs up, then print what the writes were made of."""
    jp = Jobpipe(url)
    jp.task(name="stamp")(_stamp)
    with _watched() as spans:
        async with jp.arunning(concurrency=100):
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({**spans, "pickup": _delays}))


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1]))
