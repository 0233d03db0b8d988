"""Cases of work that goes on: slots of one key, many keys, a rate, a rate after an outage."""

from __future__ import annotations

import asyncio
import time
from statistics import median

from bench.flow.case import Bound, Case, Cases, Figures, Ground, stored, until
from bench.flow.spans import between, each_second, most_within, tenths
from jobpipe import Concurrency, Rate

SLOTS, JOB_SECONDS = 50, 0.02
MOST_PER_SECOND = SLOTS / JOB_SECONDS

RATE = 1_000
BURST = 100
"""What the rate allows at once, as it names no other: what comes in a tenth of a second."""
STEADY_AFTER_SECONDS = 1.0
"""The share of the rate is taken from then on: the burst at the beginning is none of it."""
BEFORE_SECONDS = 10.0
"""Longest time of work before the outage."""
LATE_SECONDS = 0.1
"""How much longer than the last window the worker runs."""


async def slots(ground: Ground) -> Figures:
    """Keep 50 slots of one key busy."""
    jp, done = ground.jp, 0

    @jp.task(concurrency=SLOTS)
    async def work() -> None:
        nonlocal done
        await asyncio.sleep(JOB_SECONDS)
        done += 1

    wanted = round(MOST_PER_SECOND * ground.size.seconds)
    await stored(jp, [work.call() for _ in range(wanted)])
    async with jp.arunning(concurrency=2 * SLOTS):
        await until(lambda: done >= SLOTS)
        first, began, before = done, time.perf_counter(), ground.cpu()
        await until(lambda: done >= wanted - SLOTS)
        ran, took, used = done - first, time.perf_counter() - began, ground.cpu()
    figures = {
        "jobs_per_second": round(ran / took),
        "share": round(ran / took / MOST_PER_SECOND, 3),
    }
    return figures | used.each(before, ran)


async def keys(ground: Ground) -> Figures:
    """Run one job of each of many keys, all stored before; tell of each tenth of them."""
    jp, wanted = ground.jp, ground.size.keys
    times: list[float] = []
    cpu = []

    @jp.task(concurrency=Concurrency(1, key="{number}"))
    async def work(number: int) -> None:  # noqa: ARG001 (the key is made of it)
        times.append(time.perf_counter())
        if (len(times) - 1) % (wanted // 10) == 0:
            cpu.append(ground.cpu())

    began = time.perf_counter()
    await stored(jp, [work.call(number) for number in range(wanted)])
    times.append(time.perf_counter())
    cpu.append(ground.cpu())
    async with jp.arunning(concurrency=100):
        await until(lambda: len(times) > wanted)
    rates = tenths(times)
    used = [cpu[n + 1].each(cpu[n], wanted // 10) for n in range(10)]
    return {
        "keys": wanted,
        "stored_per_second": round(wanted / (times[0] - began)),
        "jobs_per_second": [round(each) for each in rates],
        "last_to_first": round(rates[-1] / rates[0], 3),
        "last_to_median": round(rates[-1] / median(rates), 3),
        **{name: [each[name] for each in used] for name in used[0]},
    }


async def rate(ground: Ground) -> Figures:
    """Start 1,000 jobs a second for so long, with more waiting."""
    jp, seconds, starts = ground.jp, ground.size.seconds, _Starts()
    work = jp.task(name="rated", rate=Rate(RATE))(starts.note)
    spare = STEADY_AFTER_SECONDS + 1
    await stored(jp, [work.call() for _ in range(round(RATE * (seconds + spare)))])
    async with jp.arunning(concurrency=100):
        await until(lambda: bool(starts.times))
        await asyncio.sleep(STEADY_AFTER_SECONDS + seconds + LATE_SECONDS)
    return starts.kept(0, seconds) | {"most_let_in_a_second": most_within(ground.let_in(), 1.0)}


async def outage(ground: Ground) -> Figures:
    """Stop the worker for as long as the case lasts, and look what starts afterwards."""
    jp, seconds, starts = ground.jp, ground.size.seconds, _Starts()
    work = jp.task(name="rated", rate=Rate(RATE))(starts.note)
    before = min(BEFORE_SECONDS, seconds)
    spare = STEADY_AFTER_SECONDS + 2
    await stored(jp, [work.call() for _ in range(round(RATE * (before + seconds + spare)))])
    async with jp.arunning(concurrency=100):
        await until(lambda: bool(starts.times))
        await asyncio.sleep(before)
    had, left = len(starts.times), (await jp.acounts())["queued"]
    await asyncio.sleep(seconds)
    resumed = time.perf_counter()
    async with jp.arunning(concurrency=100):
        await until(lambda: len(starts.times) > had)
        await asyncio.sleep(STEADY_AFTER_SECONDS + seconds + LATE_SECONDS)
    first = starts.times[had]
    return starts.kept(had, seconds) | {
        "let_in_before": left,
        "first_after_ms": round((first - resumed) * 1e3),
        "each_second_after": each_second(starts.times, first, seconds),
    }


class _Starts:
    """When jobs started."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def note(self) -> None:
        self.times.append(time.perf_counter())

    def kept(self, first: int, seconds: float) -> Figures:
        """Return how well the rate was kept from one start on, and the fullest second since it."""
        times = self.times[first:]
        started = between(times, times[0] + STEADY_AFTER_SECONDS, seconds)
        return {
            "seconds": seconds,
            "started": started,
            "share": round(started / (RATE * seconds), 4),
            "most_in_a_second": most_within(times, 1.0),
        }


KEPT = (
    Bound("share", least=0.98, most=1.02, always=True),
    Bound("most_in_a_second", most=RATE + BURST, always=True),
)
CASES: Cases = {
    "slots": Case(slots, "at least 85 % of 2,500 jobs/s", [Bound("share", least=0.85)]),
    "keys": Case(
        keys,
        "the last tenth at 90 % of the first's rate at least, and at 80 % of the median",
        [Bound("last_to_first", least=0.9), Bound("last_to_median", least=0.8)],
    ),
    "rate": Case(rate, "1,000/s kept to 2 %, never above 1,100 in a second", KEPT),
    "outage": Case(outage, "the same after an outage, never above 1,100 in a second", KEPT),
}
