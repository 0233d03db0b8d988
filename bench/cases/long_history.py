"""What a long history costs: finished jobs that stay, and a deep backlog, against an empty store.

One sample asks the same questions three times: of an almost empty store, of one to which millions
of rows were added that PostgreSQL has never looked at (autovacuum off for the table), and of the
same with fresh statistics. ``HISTORY_SHARE`` makes it all smaller.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from bench.harness import meter, postgres
from bench.harness.case import Case, Figure, Measured
from bench.harness.samples import percentile
from bench.harness.stage import Stage

ROWS = {"postgresql": (10_000_000, 1_000_000), "sqlite": (2_000_000, 1_000_000)}
"""Finished and waiting ones."""

SHARE = float(os.environ.get("HISTORY_SHARE", "1"))
QUICK_SHARE = 0.02
STEP = 1_000_000
"""Most rows that are added at once."""

WARM_JOBS, DRAIN_JOBS, WORKED_JOBS = 2_000, 100_000, 30_000
CLAIMS, LIMIT = 200, 100
FEW_JOBS, MANY_JOBS = 2_000, 200_000
"""Enqueued one at a time, and in bulk."""


def _less(name: str, unit: str, title: str) -> Figure:
    return Figure(name, unit, more_is_better=False, title=title)


FIGURES = (
    _less("growth", "x", "CPU a job against the empty store"),
    _less("growth_unknown", "x", "the same before any ANALYZE"),
    _less("claim_growth", "x", "p99 of bare claims against the empty store"),
    _less("claim_growth_unknown", "x", "the same before any ANALYZE"),
    _less("worked_growth", "x", "p99 of a worker's claims against the empty store"),
    _less("cpu_empty", "us/job", "CPU a job, empty store"),
    _less("cpu_history", "us/job", "CPU a job, with history"),
    _less("claim_empty", "ms", "p99 of bare claims, empty store"),
    _less("claim_history", "ms", "p99 of bare claims, with history"),
    Figure("enqueue_empty", "jobs/s", title="enqueue one at a time, empty store"),
    Figure("enqueue_history", "jobs/s", title="enqueue one at a time, with history"),
    Figure("bulk_empty", "jobs/s", title="bulk enqueue, empty store"),
    Figure("bulk_history", "jobs/s", title="bulk enqueue, with history"),
    _less("memory_mb", "MB", "peak of a worker process with the backlog waiting"),
)


@dataclass(frozen=True)
class Answers:
    """What one store said."""

    cpu: float
    """Of what the goal speaks of: the server where there is one, the worker else; us a job."""
    claim: float
    worked: float
    enqueue: float
    bulk: float
    memory: float


def history(stage: Stage) -> Measured:
    """Ask an empty store, then add to it and ask again, without and with statistics."""
    finished, waiting = (
        round(rows * (QUICK_SHARE if stage.quick else SHARE)) for rows in ROWS[stage.system.store]
    )
    waiting = max(waiting, 2 * MANY_JOBS)
    stage.run("prepare")
    empty = _ask(stage)
    is_server = bool(stage.server_pids)
    if is_server:
        postgres.leave_alone(stage.url, "jobpipe.job")
    for start in range(0, finished, STEP):
        stage.run("clone", finished=min(STEP, finished - start))
    for start in range(0, waiting, STEP):
        stage.run("clone", waiting=min(STEP, waiting - start))
    unknown = _ask(stage)
    if is_server:
        postgres.analyze(stage.url, "jobpipe.job")
    known = _ask(stage) if is_server else unknown
    figures = {
        "growth": known.cpu / empty.cpu,
        "claim_growth": known.claim / empty.claim,
        "worked_growth": known.worked / empty.worked,
        "cpu_empty": empty.cpu,
        "cpu_history": known.cpu,
        "claim_empty": empty.claim,
        "claim_history": known.claim,
        "enqueue_empty": empty.enqueue,
        "enqueue_history": known.enqueue,
        "bulk_empty": empty.bulk,
        "bulk_history": known.bulk,
        "memory_mb": known.memory,
    }
    if is_server:
        figures["growth_unknown"] = unknown.cpu / empty.cpu
        figures["claim_growth_unknown"] = unknown.claim / empty.claim
    return Measured(figures, jobs=finished + waiting, note=f"{finished:,} + {waiting:,} rows")


def _ask(stage: Stage) -> Answers:
    bulk = MANY_JOBS / stage.seconds("fill", jobs=MANY_JOBS, task="noop")
    enqueue = FEW_JOBS / stage.seconds("enqueue", jobs=FEW_JOBS, mode="sync", callers=1)
    cpu, memory = _drain(stage)
    claims = stage.run("claims", claims=CLAIMS, limit=LIMIT)["ms"]
    worked = stage.run("worked", tally=str(stage.tally), jobs=WORKED_JOBS)["ms"]
    return Answers(
        cpu=cpu,
        claim=percentile(claims, 99),
        worked=percentile(worked, 99),
        enqueue=enqueue,
        bulk=bulk,
        memory=memory,
    )


def _drain(stage: Stage) -> tuple[float, float]:
    """Return CPU us a job, and the peak of a worker's memory in MB."""
    begun = stage.done()
    with stage.workers() as workers:
        stage.until_done(begun + WARM_JOBS, workers)
        first, before = stage.done(), stage.usage(workers)
        stage.until_done(first + DRAIN_JOBS, workers)
        last, after = stage.done(), stage.usage(workers)
        memory = meter.peak_mb(program.pid for program in workers)
    used = after.store - before.store if stage.server_pids else after.worker - before.worker
    return used / (last - first) * 1e6, memory


CASES = (
    Case(
        name="history",
        title="10 M finished and 1 M waiting jobs (SQLite: 2 M and 1 M) against an empty store",
        figures=FIGURES,
        measure=history,
        only=frozenset({"jobpipe", "jobpipe_sqlite"}),
        rounds=1,
        lasts=900 * SHARE,
        long=True,
        goals=(
            "CPU a job and claim p99 at most 1.3 x those of an empty store, without ANALYZE too",
            "memory of a worker at most 150 MB",
        ),
        drawn="no",
    ),
)
