"""How soon a job begins: from the start of the enqueue call to the start of its function."""

from __future__ import annotations

from bench.harness.case import Case, Figure, Measured
from bench.harness.programs import ProgramFailed
from bench.harness.samples import percentile
from bench.harness.stage import Stage

P50 = Figure("p50", "ms", more_is_better=False)
P95 = Figure("p95", "ms", more_is_better=False)
P99 = Figure("p99", "ms", more_is_better=False)
OFFERED = Figure("offered", "jobs/s", title="jobs enqueued a second")
NEEDS = frozenset({"fill", "pace", "work", "stamp", "noop"})

WARM = 20
"""Jobs that run before the clock counts, so that connections are open and code is loaded."""


def idle(stage: Stage) -> Measured:
    return _pace(stage, jobs=60 if stage.quick else 120, gap_ms=50)


def busy(stage: Stage) -> Measured:
    return _pace(stage, jobs=2_000 if stage.quick else 4_000, gap_ms=1)


def _pace(stage: Stage, *, jobs: int, gap_ms: float) -> Measured:
    stage.run("prepare")
    with stage.workers(kind="stamp") as workers:
        stage.run("fill", jobs=WARM, task="noop")
        stage.until_done(WARM, workers)
        seconds = stage.seconds("pace", jobs=jobs, gap_ms=gap_ms)
        stage.until_done(WARM + jobs, workers)
    delays = stage.stamps_ms()
    if len(delays) != jobs:
        raise ProgramFailed(f"{len(delays)} stamps of {jobs} jobs")
    figures = {f"p{percent}": percentile(delays, percent) for percent in (50, 95, 99)}
    return Measured(figures | {"offered": jobs / seconds}, jobs=jobs)


CASES = (
    Case(
        name="pickup-idle",
        title="Pickup by an idle worker, one job every 50 ms",
        figures=(P50, P95, P99),
        measure=idle,
        needs=NEEDS,
        lasts=8,
        quick=True,
        goals=(
            "p50 at most the best peer's on PostgreSQL",
            "p99 at most 15 ms, on both stores",
        ),
    ),
    Case(
        name="pickup-busy",
        title="Pickup at 1,000 jobs a second",
        figures=(P50, P95, P99, OFFERED),
        measure=busy,
        needs=NEEDS,
        lasts=7,
        rounds=3,
        goals=("p99 at most 3 x idle",),
    ),
)
