"""Cases of questions: how soon a job starts beside an open transaction, why a job waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from statistics import median

import psycopg

from bench.flow.case import Bound, Case, Cases, Figures, Ground, stored
from bench.harness.samples import percentile
from jobpipe import Jobpipe, bootstrap
from jobpipe.delivery.hub import Hub
from jobpipe.store.ops.admit import admit

PICKUPS, WARM, LIMIT = 500, 50, 10
GAP_SECONDS = 0.005
ASKED = 100


async def open_transaction(ground: Ground) -> Figures:
    """Pick jobs of one key up, half of them beside a transaction that enqueued under that key."""
    jp, started = ground.jp, asyncio.Event()

    @jp.task(concurrency=LIMIT)
    async def work() -> None:
        started.set()

    async def pick_up() -> float:
        await asyncio.sleep(GAP_SECONDS)
        started.clear()
        began = time.perf_counter()
        await work.aenqueue()
        await started.wait()
        return (time.perf_counter() - began) * 1e3

    async with jp.arunning(concurrency=2 * LIMIT):
        await _times(WARM, pick_up)
        alone = await _times(PICKUPS // 2, pick_up)
        with closing(psycopg.connect(ground.url)) as connection:
            await asyncio.to_thread(work.using(on=connection).enqueue)
            beside = await _times(PICKUPS, pick_up)
            connection.rollback()
        alone += await _times(PICKUPS // 2, pick_up)  # what drifts weighs on both alike
    figures = _latencies("alone", alone) | _latencies("beside", beside)
    ratios = {
        f"{name}_ratio": round(figures[f"beside_{name}_ms"] / figures[f"alone_{name}_ms"], 2)
        for name in ("p50", "p99")
    }
    return figures | ratios


async def explain(ground: Ground) -> Figures:
    """Ask why jobs wait that stand in one line, all over it."""
    jp, waiting = ground.jp, ground.size.waiting

    @jp.task(concurrency=1)
    async def work() -> None: ...

    ids = await stored(jp, [work.call()] * (waiting + 1))
    await _into_line(jp)

    numbers = iter(range(ASKED))

    async def ask() -> float:
        id = ids[1 + next(numbers) * waiting // ASKED]
        began = time.perf_counter()
        told = await jp.aexplain(id)
        took = (time.perf_counter() - began) * 1e3
        assert told.reasons[0].gate is not None, told
        return took

    times = await _times(ASKED, ask)
    return {"waiting": waiting, "p50_ms": _ms(median(times)), "worst_ms": _ms(max(times))}


async def _into_line(jp: Jobpipe) -> None:
    """Do rounds until nobody is left to be looked at."""
    backend = bootstrap.connect(jp.settings, Hub())
    since, more = 0, True
    while more:
        done = await backend.async_store.run(admit(since))
        assert done is not None  # nobody else admits: no worker runs
        more = done.more
        since = since if done.newest is None else done.newest + 1
    await backend.async_store.close()
    await asyncio.to_thread(backend.close)


async def _times(n: int, take: Callable[[], Awaitable[float]]) -> list[float]:
    return [await take() for _ in range(n)]


def _latencies(name: str, times: list[float]) -> Figures:
    return {f"{name}_p50_ms": _ms(median(times)), f"{name}_p99_ms": _ms(percentile(times, 99))}


def _ms(value: float) -> float:
    return round(value, 2)


CASES: Cases = {
    "open": Case(
        open_transaction,
        "an open transaction delays nobody: p50 at most 1.2 x, p99 at most 1.5 x",
        [Bound("p50_ratio", most=1.2), Bound("p99_ratio", most=1.5)],
        needs_server=True,
    ),
    "explain": Case(
        explain, "at most 50 ms, the worst of 100", [Bound("worst_ms", most=50.0, always=True)]
    ),
}
