"""How fast waiting jobs are run, and what they cost: one, two and eight worker processes.

The clock runs from the moment when every process runs jobs, so that nobody's start counts, until
the store says that none is left, so that no acknowledgement is left out. At least half of the jobs
must lie behind that moment, and every job must have run exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.harness import meter
from bench.harness.case import Case, Figure, Measured, Size
from bench.harness.programs import Program, ProgramFailed
from bench.harness.stage import Stage, Usage

RATE = Figure("rate", "jobs/s", title="jobs run a second")
WORKER = Figure("worker_us", "us/job", more_is_better=False, title="CPU of the worker a job")
STORE = Figure("store_us", "us/job", more_is_better=False, title="CPU of the store a job")
MEMORY = Figure("memory_mb", "MB", more_is_better=False, title="peak of a worker process")

FIRST_SECONDS = 60.0
FIRST_LOOK_SECONDS = 0.002
LEFT_SECONDS = 60.0
SOME_ROUNDS = 3
"""Of a case that no goal hangs on."""
LEAST_SHARE = 0.5
"""The part of the jobs that must be run while all processes run."""


@dataclass(frozen=True)
class Look:
    """How far a drain is."""

    done: int
    at_ns: int
    used: Usage


def drain(stage: Stage, *, processes: int = 1, task: str = "noop") -> Measured:
    """Fill a store, start the workers, and measure until nothing is left."""
    stage.run("prepare")
    stage.run("fill", jobs=stage.jobs, task=task)
    watch = stage.start("watch", tally=str(stage.tally), jobs=stage.jobs)
    watch.until_said("ready")  # so that its start falls in nobody's time
    with stage.workers(processes, kind=task) as workers:
        first = _until_all_run(stage, workers, processes)
        stage.until_done(stage.jobs, workers)
        end_ns = int(watch.answer(LEFT_SECONDS)["at_ns"])
        used = stage.usage(workers)
        memory = meter.peak_mb(program.pid for program in workers)
    if (done := stage.done()) != stage.jobs:
        raise ProgramFailed(f"{done} runs of {stage.jobs} jobs")
    begun_ns, last_ns = stage.spans()
    if stage.pilot:  # all may have been over before it was looked at
        first = Look(0, begun_ns, first.used)
    return Measured(
        figures(stage, first, Look(done, max(end_ns, last_ns), used)) | {"memory_mb": memory},
        jobs=stage.jobs,
    )


def figures(stage: Stage, first: Look, last: Look) -> dict[str, float]:
    """Return what the jobs between two looks came to; raises ProgramFailed if they are too few."""
    jobs = last.done - first.done
    if jobs < stage.jobs * LEAST_SHARE:
        raise ProgramFailed(f"{first.done} of {stage.jobs} jobs were done before all processes ran")
    found = {
        "rate": jobs / (last.at_ns - first.at_ns) * 1e9,
        "worker_us": (last.used.worker - first.used.worker) / jobs * 1e6,
    }
    if stage.server_pids:
        found["store_us"] = (last.used.store - first.used.store) / jobs * 1e6
    return found


def _until_all_run(stage: Stage, workers: list[Program], processes: int) -> Look:
    """Wait until so many processes have run a job, or nothing is left for them."""
    deadline = time.monotonic() + FIRST_SECONDS
    while (running := stage.running()) < processes:
        ended = next((program for program in workers if program.ended), None)
        if ended is not None or time.monotonic() > deadline:
            told = (ended or workers[0]).tail()
            raise ProgramFailed(f"{running} of {processes} processes ran a job\n{told}")
        if stage.done() >= stage.jobs:
            break
        time.sleep(FIRST_LOOK_SECONDS)
    used = stage.usage(workers)
    return Look(stage.done(), time.monotonic_ns(), used)


def _case(
    name: str,
    title: str,
    measure: Callable[[Stage], Measured],
    task: str = "noop",
    *,
    only: frozenset[str] = frozenset(),
    jobs: int = 100_000,
    quick_jobs: int = 20_000,
    least: int = 200,
    quick: bool = False,
    kin: str = "drain",
    rounds: int | None = None,
    goals: tuple[str, ...] = (),
) -> Case:
    return Case(
        name=name,
        title=title,
        figures=(RATE, WORKER, STORE, MEMORY),
        measure=measure,
        size=Size(full=jobs, quick=quick_jobs, kin=kin, least=least),
        needs=frozenset({"fill", "work", "left", task}),
        only=only,
        rounds=rounds,
        quick=quick,
        goals=goals,
    )


CASES = (
    _case(
        "drain-1",
        "Drain of no-op jobs, one worker process",
        drain,
        quick=True,
        goals=(
            "PostgreSQL: at least 3 x pgqueuer (stretch 5 x), 2.5 x graphile-worker (4 x)",
            "PostgreSQL: at least 55 % (75 %) of the raw floor",
            "SQLite: at least 5 x huey (8 x), 40 % of the raw floor",
            "CPU of the worker: at most a quarter of the best Python peer's",
        ),
    ),
    _case(
        "drain-2",
        "Drain of no-op jobs, two worker processes",
        partial(drain, processes=2),
        jobs=150_000,
        quick_jobs=60_000,
        quick=True,
        goals=(
            "PostgreSQL: at least 2.5 x the best peer's two; CPU a job at most 15 % up",
            "SQLite: not slower than one",
        ),
    ),
    _case(
        "drain-8",
        "Drain of no-op jobs, eight worker processes",
        partial(drain, processes=8),
        only=frozenset({"jobpipe", "jobpipe_sqlite"}),
        jobs=400_000,
        least=400_000,
        rounds=SOME_ROUNDS,
        goals=("at least 90 % of the best number of processes",),
    ),
    _case(
        "drain-sync",
        "Drain of plain functions (threads), one worker process",
        partial(drain, task="noop_sync"),
        "noop_sync",
        rounds=SOME_ROUNDS,
        kin="drain-sync",
    ),
    _case(
        "drain-kib",
        "Drain with 1 KiB of arguments and of result, one worker process",
        partial(drain, task="kib"),
        "kib",
        rounds=SOME_ROUNDS,
    ),
    _case(
        "drain-flaky",
        "Drain with 5 % of first attempts failing, one worker process",
        partial(drain, task="flaky"),
        "flaky",
        rounds=SOME_ROUNDS,
        kin="drain-flaky",
    ),
)
