"""How much gates cost: ``python -m bench.flow [CASE...] [--url URL] [--seconds N]``.

``slots``: 50 slots of one key, jobs of 20 ms, so 2,500 jobs a second at most. ``keys``: jobs of so
many keys at once; the rate of each tenth of them. ``rate``: a limit of 1,000 a second, how many
started in each span. Each case prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jobpipe import Concurrency, Jobpipe, Rate

SLOTS, JOB_SECONDS = 50, 0.02
RATE = 1_000
KEYS = 100_000
CHUNK = 5_000


async def slots(jp: Jobpipe, seconds: float) -> dict[str, Any]:
    """Keep 50 slots of one key busy."""
    done = 0

    @jp.task(concurrency=SLOTS)
    async def work() -> None:
        nonlocal done
        await asyncio.sleep(JOB_SECONDS)
        done += 1

    wanted = round(SLOTS / JOB_SECONDS * seconds)
    await _stored(jp, [work.call() for _ in range(wanted)])
    async with jp.arunning(concurrency=2 * SLOTS):
        await _until(lambda: done >= SLOTS)
        first, began = done, time.perf_counter()
        await _until(lambda: done >= wanted - SLOTS)
        took = time.perf_counter() - began
    reached = (done - first) / took
    return {"jobs_per_second": round(reached), "share": round(reached / (SLOTS / JOB_SECONDS), 3)}


async def keys(jp: Jobpipe, seconds: float) -> dict[str, Any]:
    """Run one job of each of many keys, all stored before; tell the rate of each tenth."""
    times: list[float] = []

    @jp.task(concurrency=Concurrency(1, key="{number}"))
    async def work(number: int) -> None:  # noqa: ARG001 (the key is made of it)
        times.append(time.perf_counter())

    wanted = min(KEYS, round(seconds * 2_000))
    began = time.perf_counter()
    await _stored(jp, [work.call(number) for number in range(wanted)])
    stored = wanted / (time.perf_counter() - began)
    times.append(time.perf_counter())
    async with jp.arunning(concurrency=100):
        await _until(lambda: len(times) > wanted)
    tenth = wanted // 10
    rates = [round(tenth / (times[(n + 1) * tenth] - times[n * tenth])) for n in range(10)]
    return {"keys": wanted, "stored_per_second": round(stored), "jobs_per_second": rates}


async def rate(jp: Jobpipe, seconds: float) -> dict[str, Any]:
    """Start 1,000 jobs a second for so long, with more waiting."""
    starts: list[float] = []

    @jp.task(rate=Rate(RATE))
    async def work() -> None:
        starts.append(time.perf_counter())

    await _stored(jp, [work.call() for _ in range(round(RATE * (seconds + 2)))])
    async with jp.arunning(concurrency=100):
        await _until(lambda: bool(starts))
        await asyncio.sleep(seconds + 0.1)
    counted = sum(start < starts[0] + seconds for start in starts)
    return {"started": counted, "of_allowed": round(counted / (RATE * seconds), 4)}


CASES: dict[str, Callable[[Jobpipe, float], Awaitable[dict[str, Any]]]] = {
    "slots": slots,
    "keys": keys,
    "rate": rate,
}


async def _stored(jp: Jobpipe, calls: list[Any]) -> None:
    for start in range(0, len(calls), CHUNK):
        await jp.aenqueue_many(calls[start : start + CHUNK])


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 (it asks what jobs have counted)
        await asyncio.sleep(0.005)


async def _run(name: str, url: str | None, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        where = url or f"sqlite:///{Path(folder) / 'jobs.db'}"
        jp = Jobpipe(where, poll_seconds=1.0)
        figures = await CASES[name](jp, seconds)
        await jp.aclose()
    print(json.dumps({"case": name, "store": where.partition(":")[0], **figures}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--url", help="a store without jobs; default: a new SQLite file")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    for name in given.cases or CASES:
        asyncio.run(_run(name, given.url, given.seconds))


if __name__ == "__main__":
    main()
