"""Tenants that share a queue: what 100,000 jobs of one do to ten of another.

``python -m bench.fair`` measures on a SQLite file of its own, ``--url`` on an empty store. A worker
in this process runs empty jobs. Told are how much later than their enqueueing the ten start,
counted in starts of others and in time, right after the 100,000 were enqueued and once all of
these stand in line; how soon an idle worker has a result, and the jobs a second overall.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from jobpipe import Jobpipe
from jobpipe.tasks.task import Call

SLOTS = 20
TEN = 10
RESULTS = 100
PAUSE_SECONDS = 0.005
LONGEST_SECONDS = 600.0


def main() -> None:
    """Measure and tell."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--url", help="an empty store; without it a SQLite file")
    given.add_argument("--jobs", type=int, default=100_000, help="how many the large tenant has")
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(asked.url or f"sqlite:///{Path(folder) / 'jobs.db'}", asked.jobs)


def measure(url: str, jobs: int) -> None:
    """Tell of one store."""
    jp = Jobpipe(url)
    started: list[str] = []
    jp.task(name="tenant", tenant="{who}")(_noting(started))
    jp.task(name="plain")(_noting([]))
    with jp.running(concurrency=SLOTS):
        for name in ("plain", "tenant"):
            print(f"{name} job, idle worker, enqueue to result: p50 {_result_ms(jp, name):.1f} ms")
        started.clear()
        began = time.perf_counter()
        whale, fish = (jp.call_named("tenant", {"who": who}) for who in ("whale", "fish"))
        jp.enqueue_many([whale] * jobs)
        print(f"{jobs:,} jobs of one tenant enqueued in {time.perf_counter() - began:.1f} s")
        _tell_ten(jp, started, "right away", fish)
        _until(lambda: len(started) > jobs // 2)
        _tell_ten(jp, started, "half way", fish)
        _until(lambda: len(started) == jobs + 2 * TEN)
        print(f"all ran, {jobs / (time.perf_counter() - began):,.0f} jobs/s from the enqueueing on")
    jp.close()


def _noting(started: list[str]) -> Callable[..., object]:
    async def note(who: str = "") -> None:
        started.append(who)

    return note


def _tell_ten(jp: Jobpipe, started: list[str], when: str, call: Call[Any]) -> None:
    before, began = len(started), time.perf_counter()
    had = started.count("fish")
    jp.enqueue_many([call] * TEN)
    _until(lambda: started.count("fish") == had + TEN)
    seconds = time.perf_counter() - began
    places = [place for place, who in enumerate(started) if who == "fish" and place >= before]
    print(
        f"{when}: ten of another start {places[0] - before + 1} to {places[-1] - before + 1} starts"
        f" later, within {seconds * 1e3:.0f} ms; 2 x slots + 20 = {2 * SLOTS + 20}"
    )


def _result_ms(jp: Jobpipe, name: str) -> float:
    delays = []
    for _ in range(RESULTS):
        began = time.perf_counter()
        jp.enqueue_named(name, {"who": "solo"}).result(LONGEST_SECONDS)
        delays.append((time.perf_counter() - began) * 1e3)
        time.sleep(PAUSE_SECONDS)
    return median(delays)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {LONGEST_SECONDS:g} s")
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
