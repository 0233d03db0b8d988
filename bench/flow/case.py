"""What a case of flow control is, and the line that tells what it came to."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Any

import psycopg

from bench.harness import meter
from jobpipe import Jobpipe, bootstrap

CHUNK = 5_000
LOOK_SECONDS = 0.005

Figures = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How large the cases are."""

    seconds: float
    keys: int
    waiting: int


@dataclass(frozen=True)
class Ground:
    """What one round of a case stands on."""

    jp: Jobpipe
    url: str
    size: Size
    server_pids: Sequence[int]
    """The store's server; none for a file, whose work is done in this process."""

    def cpu(self) -> Cpu:
        """Return the CPU time used so far."""
        return Cpu(time.process_time(), meter.cpu_seconds(self.server_pids))

    def let_in(self) -> list[float]:
        """Return when each job was let in, in seconds of the store's clock, rising."""
        query = "SELECT queued_at FROM {} WHERE queued_at IS NOT NULL ORDER BY queued_at"
        if self.server_pids:
            with closing(psycopg.connect(self.url)) as server:
                rows = server.execute(query.format("jobpipe.job").encode()).fetchall()
        else:
            with closing(sqlite3.connect(bootstrap.sqlite_path(self.url))) as file:
                rows = file.execute(query.format("jobpipe_job")).fetchall()
        return [row[0] / 1e6 for row in rows]


@dataclass(frozen=True)
class Cpu:
    """Seconds of this process, which enqueues and works, and of the store's server."""

    process: float
    server: float

    def each(self, before: Cpu, jobs: int) -> Figures:
        """Return what a job has used since then, in microseconds."""
        figures = {"process_us": round((self.process - before.process) / jobs * 1e6)}
        if self.server:
            figures["server_us"] = round((self.server - before.server) / jobs * 1e6)
        return figures


@dataclass(frozen=True)
class Bound:
    """What a figure has to keep to for the goal to be reached."""

    figure: str
    least: float = float("-inf")
    most: float = float("inf")
    always: bool = False
    """In each round, not only in the median."""

    def holds(self, values: Sequence[float]) -> bool:
        judged = values if self.always else [median(values)]
        return all(self.least <= value <= self.most for value in judged)


@dataclass(frozen=True)
class Case:
    """A question, and what the answer should be."""

    measure: Callable[[Ground], Awaitable[Figures]]
    goal: str
    bounds: Sequence[Bound]
    needs_server: bool = False


def line(case: Case, rounds: Sequence[Figures]) -> Figures:
    """Return what is told of a case: its figures, the goal, and whether it is reached.

    Of several rounds each number is told as its minimum, median and maximum, the rest of the last.
    """
    told = {name: _spread([found[name] for found in rounds]) for name in rounds[0]}
    reached = all(bound.holds([found[bound.figure] for found in rounds]) for bound in case.bounds)
    return {"rounds": len(rounds), **told, "goal": case.goal, "reached": reached}


def _spread(values: Sequence[Any]) -> Any:
    if len(values) == 1 or not isinstance(values[0], int | float):
        return values[-1]
    return {"min": min(values), "median": median(values), "max": max(values)}


async def stored(jp: Jobpipe, calls: Sequence[Any]) -> list[int]:
    """Store the jobs in chunks; return their ids."""
    ids: list[int] = []
    for start in range(0, len(calls), CHUNK):
        ids += await jp.aenqueue_many(calls[start : start + CHUNK])
    return ids


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until jobs have done what they are to do."""
    while not is_so():  # noqa: ASYNC110 (it asks what jobs have counted)
        await asyncio.sleep(LOOK_SECONDS)


Cases = Mapping[str, Case]
