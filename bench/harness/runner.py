"""Makes one run: sets systems up, takes the samples in turn, and keeps what came of them.

No system ends the run: one that cannot be set up, or whose program fails, is told of with the
reason. What was measured is written after every sample.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from bench.harness import venvs
from bench.harness.case import Case, Measured, Size
from bench.harness.rounds import Turn, take, turns
from bench.harness.samples import Sample, in_short
from bench.harness.servers import Servers
from bench.harness.stage import Stage
from bench.harness.system import System, Unusable

SLOW_SECONDS = 8.0
"""What a sample of a slow system should take at most."""

PILOT_JOBS = 500
LEAST_JOBS = 200
GIVE_UP_AFTER = 2
"""Failures of one system in one case after which it is not asked again."""


class Rates:
    """How fast each system was, so that a slow one gets small samples; kept between runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}

    def jobs(self, size: Size, system: System, *, quick: bool) -> int | None:
        """Return how many jobs a sample gets; None while nothing is known of the speed."""
        full = size.quick if quick else size.full
        rate = self._known.get(f"{size.kin} {system.name}")
        if rate is None:
            return full if quick else None
        return max(LEAST_JOBS, min(full, _round(rate * SLOW_SECONDS)))

    def note(self, size: Size, system: System, rate: float) -> None:
        self._known[f"{size.kin} {system.name}"] = round(rate, 1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._known, indent=1, sort_keys=True))


class Runner:
    """Takes samples; ``samples`` and ``missing`` (system: reason) hold what came of them."""

    def __init__(self, stack: ExitStack, rates: Rates, *, quick: bool) -> None:
        self.samples: list[Sample] = []
        self.missing: dict[str, str] = {}
        self.servers = Servers(stack)
        self._rates = rates
        self._quick = quick
        self._jobs: dict[tuple[str, str], int] = {}

    def set_up(self, systems: Sequence[System]) -> list[System]:
        """Install what the systems need and start their servers; return those that are usable."""
        usable = []
        for system in systems:
            try:
                venvs.set_up(system)
                self.servers.of(system.store)
                usable.append(system)
            except Unusable as error:
                self.missing[system.name] = str(error)
                print(f"  {system.name}: not measured: {error}", flush=True)
        return usable

    def run(
        self,
        cases: Sequence[Case],
        systems: Sequence[System],
        rounds: int,
        *,
        ends: float,
        keep: Callable[[], None],
    ) -> None:
        """Take all samples; ``keep`` follows each.

        A further round begins only when one like the last would end before ``ends`` (monotonic).
        """
        took = 0.0
        every = turns(cases, systems, rounds, quick=self._quick)
        for number, of_round in groupby(every, key=lambda turn: turn.round):
            began = time.monotonic()
            if number and began + took > ends:
                print(f"  out of time after {number} of {rounds} rounds", flush=True)
                return
            for turn in of_round:
                self._turn(turn, keep)
            took = time.monotonic() - began

    def _turn(self, turn: Turn, keep: Callable[[], None]) -> None:
        if self._failures(turn) < GIVE_UP_AFTER:
            sample = take(turn, self._measure)
            self.samples.append(sample)
            print(f"  {_line(turn, sample)}", flush=True)
            keep()

    def _measure(self, turn: Turn) -> Measured:
        size = turn.case.size
        if size is None:
            return self._sample(turn, 0)
        key = turn.case.name, turn.system.name
        if key not in self._jobs:
            self._jobs[key] = self._jobs_of(turn, size)
        measured = self._sample(turn, self._jobs[key])
        self._rates.note(size, turn.system, measured.figures["rate"])
        return measured

    def _jobs_of(self, turn: Turn, size: Size) -> int:
        """Return the size of all samples of this run, after a pilot where nothing is known."""
        jobs = self._rates.jobs(size, turn.system, quick=self._quick)
        if jobs is None:
            pilot = self._sample(turn, PILOT_JOBS, pilot=True)
            self._rates.note(size, turn.system, pilot.figures["rate"])
            jobs = self._rates.jobs(size, turn.system, quick=self._quick)
        return jobs or PILOT_JOBS

    def _sample(self, turn: Turn, jobs: int, *, pilot: bool = False) -> Measured:
        system = turn.system
        server = self.servers.of(system.store)
        command = venvs.command(system)
        with Stage(system, command, server, jobs=jobs, quick=self._quick, pilot=pilot) as stage:
            return turn.case.measure(stage)

    def _failures(self, turn: Turn) -> int:
        return sum(
            bool(sample.failure)
            for sample in self.samples
            if (sample.case, sample.system) == (turn.case.name, turn.system.name)
        )


def _round(jobs: float) -> int:
    """Return two significant digits: sizes are easier to read, and alike from run to run."""
    unit = int("1".ljust(len(str(int(jobs))) - 1, "0"))
    return int(jobs) // unit * unit


def _line(turn: Turn, sample: Sample) -> str:
    head = f"{turn.round + 1} {turn.case.name:<16} {turn.system.name:<18}"
    if sample.failure:
        return f"{head} failed: {in_short(sample.failure)}"
    figures = [
        f"{name} {value:,.1f}" if value < 100 else f"{name} {value:,.0f}"
        for name, value in sample.figures.items()
    ]
    return f"{head} {'  '.join(figures)}  ({sample.jobs:,} jobs, {sample.seconds:.1f} s)"
