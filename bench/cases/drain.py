"""How fast waiting jobs are run, and what they cost: one, two and eight worker processes.

The clock runs from the start of the first job until the store says that none is left, so no
acknowledgement is left out. Every job must have run exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from bench.harness import meter
from bench.harness.case import Case, Figure, Measured, Size
from bench.harness.programs import Program, ProgramFailed
from bench.harness.stage import Stage

RATE = Figure("rate", "jobs/s", title="jobs run a second")
WORKER = Figure("worker_us", "us/job", more_is_better=False, title="CPU of the worker a job")
STORE = Figure("store_us", "us/job", more_is_better=False, title="CPU of the store a job")
MEMORY = Figure("memory_mb", "MB", more_is_better=False, title="peak of a worker process")

FIRST_SECONDS = 60.0
FIRST_LOOK_SECONDS = 0.002
LEFT_SECONDS = 60.0


def drain(stage: Stage, *, processes: int = 1, task: str = "noop") -> Measured:
    """Fill a store, start the workers, and measure until nothing is left."""
    stage.run("prepare")
    stage.run("fill", jobs=stage.jobs, task=task)
    watch = stage.start("watch", tally=str(stage.tally), jobs=stage.jobs)
    watch.until_said("ready")  # so that its start falls in nobody's time
    with stage.workers(processes, kind=task) as workers:
        _until_first(stage, workers)
        before = stage.usage(workers)
        stage.until_done(stage.jobs, workers)
        end_ns = int(watch.answer(LEFT_SECONDS)["at_ns"])
        after = stage.usage(workers)
        memory = meter.peak_mb(program.pid for program in workers)
    if (done := stage.done()) != stage.jobs:
        raise ProgramFailed(f"{done} runs of {stage.jobs} jobs")
    first_ns, last_ns = stage.spans()
    seconds = (max(end_ns, last_ns) - first_ns) / 1e9
    figures = {
        "rate": stage.jobs / seconds,
        "worker_us": (after.worker - before.worker) / stage.jobs * 1e6,
        "memory_mb": memory,
    }
    if stage.server_pids:
        figures["store_us"] = (after.store - before.store) / stage.jobs * 1e6
    return Measured(figures, jobs=stage.jobs)


def _until_first(stage: Stage, workers: list[Program]) -> None:
    deadline = time.monotonic() + FIRST_SECONDS
    while not stage.done():
        ended = next((program for program in workers if program.ended), None)
        if ended is not None or time.monotonic() > deadline:
            raise ProgramFailed(f"no job began\n{(ended or workers[0]).tail()}")
        time.sleep(FIRST_LOOK_SECONDS)


def _case(
    name: str,
    title: str,
    measure: Callable[[Stage], Measured],
    task: str = "noop",
    *,
    only: frozenset[str] = frozenset(),
    quick: bool = False,
    kin: str = "drain",
    goals: tuple[str, ...] = (),
) -> Case:
    return Case(
        name=name,
        title=title,
        figures=(RATE, WORKER, STORE, MEMORY),
        measure=measure,
        size=Size(full=100_000, quick=20_000, kin=kin),
        needs=frozenset({"fill", "work", "left", task}),
        only=only,
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
        goals=("at least 90 % of the best number of processes",),
    ),
    _case(
        "drain-sync",
        "Drain of plain functions (threads), one worker process",
        partial(drain, task="noop_sync"),
        "noop_sync",
        kin="drain-sync",
    ),
    _case(
        "drain-kib",
        "Drain with 1 KiB of arguments and of result, one worker process",
        partial(drain, task="kib"),
        "kib",
    ),
    _case(
        "drain-flaky",
        "Drain with 5 % of first attempts failing, one worker process",
        partial(drain, task="flaky"),
        "flaky",
        kin="drain-flaky",
    ),
)
