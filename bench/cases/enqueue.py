"""How fast jobs are stored: one a call, by 32 callers at once, and in bulk."""

from __future__ import annotations

from bench.harness.case import Case, Figure, Measured, Size
from bench.harness.stage import Stage

RATE = Figure("rate", "jobs/s", title="jobs stored a second")
STORE = Figure("store_us", "us/job", more_is_better=False, title="CPU of the store a job")
CALLERS = 32


def one_by_one_async(stage: Stage) -> Measured:
    return _enqueue(stage, mode="async", callers=1)


def one_by_one_sync(stage: Stage) -> Measured:
    return _enqueue(stage, mode="sync", callers=1)


def by_callers(stage: Stage) -> Measured:
    """Callers are coroutines of one process, or threads where a system has no coroutines."""
    mode = "async" if "enqueue.async" in stage.system.abilities else "sync"
    return _enqueue(stage, mode=mode, callers=CALLERS)


def bulk(stage: Stage) -> Measured:
    stage.run("prepare")
    before = stage.usage([])
    seconds = stage.seconds("fill", jobs=stage.jobs, task="noop")
    return _measured(stage, seconds, stage.usage([]).store - before.store)


def _enqueue(stage: Stage, *, mode: str, callers: int) -> Measured:
    stage.run("prepare")
    before = stage.usage([])
    seconds = stage.seconds("enqueue", jobs=stage.jobs, mode=mode, callers=callers)
    return _measured(stage, seconds, stage.usage([]).store - before.store)


def _measured(stage: Stage, seconds: float, store_seconds: float) -> Measured:
    figures = {"rate": stage.jobs / seconds}
    if stage.server_pids:
        figures["store_us"] = store_seconds / stage.jobs * 1e6
    return Measured(figures, jobs=stage.jobs)


ONE = Size(full=10_000, quick=1_500, kin="enqueue")
CASES = (
    Case(
        name="enqueue-async",
        title="Enqueue, one await after the other",
        figures=(RATE, STORE),
        measure=one_by_one_async,
        size=ONE,
        needs=frozenset({"enqueue.async"}),
        quick=True,
        goals=(
            "PostgreSQL: at least 2 x the best peer on PostgreSQL",
            "PostgreSQL: at least 75 % of one bare INSERT and commit",
        ),
    ),
    Case(
        name="enqueue-sync",
        title="Enqueue, one blocking call after the other",
        figures=(RATE, STORE),
        measure=one_by_one_sync,
        size=ONE,
        needs=frozenset({"enqueue.sync"}),
        quick=True,
        goals=("PostgreSQL: at least 1.5 x the best peer on PostgreSQL",),
    ),
    Case(
        name="enqueue-32",
        title=f"Enqueue by {CALLERS} callers of one process",
        figures=(RATE, STORE),
        measure=by_callers,
        size=Size(full=50_000, quick=5_000, kin="enqueue-32"),
        quick=True,
        goals=("at least 5 x (stretch 10 x) one at a time",),
    ),
    Case(
        name="enqueue-bulk",
        title="Enqueue in bulk",
        figures=(RATE, STORE),
        measure=bulk,
        size=Size(full=100_000, quick=20_000, kin="bulk"),
        needs=frozenset({"fill"}),
        quick=True,
        goals=(
            "PostgreSQL: at least 2 x (stretch 3 x) the best peer on PostgreSQL",
            "PostgreSQL: at least 50 % of COPY into the same table",
        ),
    ),
)
