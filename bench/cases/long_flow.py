"""Jobs enqueued and run at the same time, for minutes: is the last minute as fast as the first?

A feeder keeps some thousands waiting; jobs/s and the CPU of worker and store are read every ten
seconds. The store's CPU includes what the enqueues cost. In a held case another session keeps a
snapshot open from before the first job, so that PostgreSQL may remove no dead row: that counts
with over a million of them at the end. ``HELD_SECONDS`` sets how long such a case takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from bench.harness import postgres, windows
from bench.harness.case import Case, Figure, Measured
from bench.harness.stage import Stage
from bench.harness.windows import Window, together

RATE = Figure("rate", "jobs/s", title="jobs run a second")
LAST = Figure("rate_last", "jobs/s", title="jobs run a second in the last minute")
FIRST = Figure("rate_first", "jobs/s", title="jobs run a second in the first minute")
WORKER = Figure("worker_us", "us/job", more_is_better=False, title="CPU of the worker a job")
STORE = Figure("store_us", "us/job", more_is_better=False, title="CPU of the store a job")
STORE_FIRST = Figure("store_first", "us/job", more_is_better=False, title="store, first minute")
STORE_LAST = Figure("store_last", "us/job", more_is_better=False, title="store, last minute")
GROWTH = Figure("growth", "x", more_is_better=False, title="store, last minute to first")
DEAD = Figure("dead", "rows", more_is_better=False, title="dead rows at the end")
OFFERED = Figure("offered", "jobs/s", title="jobs enqueued a second")

SERVER = {"store_us", "store_first", "store_last", "growth", "dead"}
"""Figures of a store that is a server."""

NEEDS = frozenset({"feed", "work", "noop"})
DECAYING = frozenset({"jobpipe", "pgqueuer", "graphile_worker", "awa"})
STEADY = DECAYING | {"jobpipe_sqlite", "huey"}
BACKLOG = 5_000
WINDOW_SECONDS = 10.0
WARM_JOBS = 2_000
STEADY_SECONDS = 60.0
HELD_SECONDS = float(os.environ.get("HELD_SECONDS", "300"))
DEAD_ENOUGH = 1_000_000
SHORTER_SECONDS = 1.0
"""By so much the look ends before the feeder does."""
LEAST_US = 0.01

Condition = Callable[[str], AbstractContextManager[object]]


def flow(
    stage: Stage, *, seconds: float, shown: Sequence[Figure], under: Condition = nullcontext
) -> Measured:
    """Enqueue and run jobs for so long under a condition of the store."""
    seconds = seconds / 6 if stage.quick else seconds
    stage.run("prepare")
    with under(stage.url), stage.workers() as workers:
        feed = stage.start(
            "feed", task="noop", seconds=seconds, backlog=BACKLOG, tally=str(stage.tally)
        )
        stage.until_done(WARM_JOBS, workers)
        watched = seconds - SHORTER_SECONDS
        every = min(WINDOW_SECONDS, watched / 3)
        seen = windows.watch(stage, workers, seconds=watched, every=every)
        sent = feed.answer()["jobs"]
        dead = postgres.dead_rows(stage.url) if stage.system.store == "postgresql" else 0
    figures = _figures(seen) | {"offered": sent / seconds, "dead": dead}
    if not stage.server_pids:
        figures = {name: n for name, n in figures.items() if name not in SERVER}
    names = {figure.name for figure in shown}
    return Measured(
        {name: n for name, n in figures.items() if name in names},
        jobs=together(seen).jobs,
        series={
            "rate": [window.rate for window in seen],
            "store_us": [_us(window.store, window) for window in seen],
        },
        step=every,
        note=f"only {dead:,} dead rows" if "dead" in names and dead < DEAD_ENOUGH else "",
    )


def _figures(seen: list[Window]) -> dict[str, float]:
    whole, (first, last) = together(seen), minutes(seen)
    return {
        "rate": whole.rate,
        "rate_first": first.rate,
        "rate_last": last.rate,
        "worker_us": _us(whole.worker, whole),
        "store_us": _us(whole.store, whole),
        "store_first": _us(first.store, first),
        "store_last": _us(last.store, last),
        "growth": _us(last.store, last) / max(_us(first.store, first), LEAST_US),
    }


def minutes(seen: list[Window]) -> tuple[Window, Window]:
    """Return the first and the last minute, of a short case its first and last third."""
    length = max(1, min(round(60 / WINDOW_SECONDS), len(seen) // 3))
    return together(seen[:length]), together(seen[-length:])


def _us(seconds: float, window: Window) -> float:
    return seconds / max(1, window.jobs) * 1e6


STEADY_FIGURES = (RATE, WORKER, STORE, OFFERED)
HELD_FIGURES = (LAST, FIRST, GROWTH, STORE_FIRST, STORE_LAST, WORKER, OFFERED, DEAD)
HELD_GOALS = (
    "database CPU a job in the last minute at most 1.15 x the first, over a million dead rows",
    "jobs a second in the last minute at least 5 x the best peer's",
)


def _held(under: Condition) -> Callable[[Stage], Measured]:
    return partial(flow, seconds=HELD_SECONDS, shown=HELD_FIGURES, under=under)


CASES = (
    Case(
        name="steady",
        title="Enqueue and run at the same time for a minute",
        figures=STEADY_FIGURES,
        measure=partial(flow, seconds=STEADY_SECONDS, shown=STEADY_FIGURES),
        needs=NEEDS,
        lasts=STEADY_SECONDS + 3,
        only=STEADY,
        rounds=1,
        drawn="lines",
    ),
    Case(
        name="held-snapshot",
        title="Enqueue and run while another session holds a snapshot",
        figures=HELD_FIGURES,
        measure=_held(postgres.held_snapshot),
        needs=NEEDS,
        stores=frozenset({"postgresql"}),
        only=DECAYING,
        lasts=HELD_SECONDS + 5,
        rounds=1,
        long=True,
        goals=HELD_GOALS,
        drawn="lines",
    ),
    Case(
        name="autovacuum-off",
        title="Enqueue and run with autovacuum off",
        figures=HELD_FIGURES,
        measure=_held(postgres.autovacuum_off),
        needs=NEEDS,
        stores=frozenset({"postgresql"}),
        only=DECAYING,
        lasts=HELD_SECONDS + 5,
        rounds=1,
        long=True,
        goals=HELD_GOALS,
        drawn="lines",
    ),
)
