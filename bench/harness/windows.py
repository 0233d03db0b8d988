"""What happens in each stretch of time: jobs run, and the CPU that workers and store used."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.harness.programs import Program, ProgramFailed
from bench.harness.stage import Stage, Usage

LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Window:
    """One stretch of time."""

    seconds: float
    jobs: int
    worker: float
    """CPU seconds of the workers."""
    store: float
    """CPU seconds of the store's server."""

    @property
    def rate(self) -> float:
        return self.jobs / self.seconds


def watch(
    stage: Stage, workers: Sequence[Program], *, seconds: float, every: float
) -> list[Window]:
    """Look on for so long; return a window for every ``every`` seconds.

    Raises ProgramFailed when a worker ends.
    """
    windows = []
    ends = time.monotonic() + seconds
    at, jobs, used = _now(stage, workers)
    while (left := ends - time.monotonic()) > every / 2:
        _wait(workers, min(every, left))
        then, before, usage = at, jobs, used
        at, jobs, used = _now(stage, workers)
        windows.append(
            Window(at - then, jobs - before, used.worker - usage.worker, used.store - usage.store)
        )
    return windows


def together(windows: Sequence[Window]) -> Window:
    """Return several windows as one."""
    return Window(
        sum(window.seconds for window in windows),
        sum(window.jobs for window in windows),
        sum(window.worker for window in windows),
        sum(window.store for window in windows),
    )


def _now(stage: Stage, workers: Sequence[Program]) -> tuple[float, int, Usage]:
    return time.monotonic(), stage.done(), stage.usage(list(workers))


def _wait(workers: Sequence[Program], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        ended = next((program for program in workers if program.ended), None)
        if ended is not None:
            raise ProgramFailed(f"a worker ended by itself\n{ended.tail()}")
        time.sleep(min(left, LOOK_SECONDS))
