"""How long it takes to begin: a command that tells its version, a worker until its first job."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench.harness import venvs
from bench.harness.case import Case, Figure, Measured
from bench.harness.samples import percentile
from bench.harness.stage import Stage

STARTS, QUICK_STARTS = 20, 7
PYTHON = Figure("python_ms", "ms", more_is_better=False, title="python -c pass")
VERSION = Figure("version_ms", "ms", more_is_better=False, title="jobpipe --version")
FIRST_JOB = Figure("first_job_ms", "ms", more_is_better=False, title="until the first job is done")
LOOK_SECONDS = 0.001


def version(stage: Stage) -> Measured:
    """Tell the version again and again, in turn with an interpreter that does nothing."""
    python = venvs.command(stage.system)[0]
    commands = {
        "python_ms": [python, "-c", "pass"],
        "version_ms": [str(Path(python).with_name("jobpipe")), "--version"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(QUICK_STARTS if stage.quick else STARTS):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=stage.folder)
            taken[name].append((time.perf_counter() - began) * 1e3)
    return Measured({name: percentile(times, 50) for name, times in taken.items()})


def first_job(stage: Stage) -> Measured:
    """Start a worker for one waiting job."""
    stage.run("prepare")
    stage.run("fill", jobs=1, task="noop")
    began = time.monotonic_ns()
    with stage.workers() as workers:
        stage.until_done(1, workers)
        _, ended = stage.spans()
    return Measured({"first_job_ms": (ended - began) / 1e6}, jobs=1)


CASES = (
    Case(
        name="startup-version",
        title="Start of a command: jobpipe --version",
        figures=(VERSION, PYTHON),
        measure=version,
        only=frozenset({"jobpipe"}),
        rounds=3,
        drawn="no",
    ),
    Case(
        name="startup-worker",
        title="Start of a worker until its first job is done",
        figures=(FIRST_JOB,),
        measure=first_job,
        needs=frozenset({"fill", "work", "noop"}),
        rounds=3,
    ),
)
