"""Makes one run: sets systems up, takes the samples in turn, and keeps what came of them.

No system ends the run: one that cannot be set up, or whose program fails, is told of with the
reason. What was measured is written after every sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import groupby

from bench.harness import venvs
from bench.harness.case import Case, Measured, Size
from bench.harness.rates import Rates
from bench.harness.rounds import Turn, take, turns
from bench.harness.samples import Sample, in_short
from bench.harness.servers import Servers
from bench.harness.stage import Stage
from bench.harness.system import System, Unusable

PILOTS = 2
PILOT_JOBS = 500
GIVE_UP_AFTER = 2
"""Failures of one system in one case after which it is not asked again."""


class Runner:
    """Takes samples; ``samples`` and ``missing`` (system: reason) hold what came of them."""

    def __init__(self, stack: ExitStack, rates: Rates, *, quick: bool) -> None:
        self.samples: list[Sample] = []
        self.missing: dict[str, str] = {}
        self.servers = Servers(stack)
        self._rates = rates
        self._quick = quick
        self._to_come = 0.0
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
        every = list(turns(cases, systems, rounds, quick=self._quick))
        self._to_come = self._seconds(every)
        print(f"  {len(every)} samples, about {self._to_come / 60:.0f} minutes", flush=True)
        for number, of_round in groupby(every, key=lambda turn: turn.round):
            began = time.monotonic()
            if number and began + took > ends:
                print(f"  out of time after {number} of {rounds} rounds", flush=True)
                return
            for turn in of_round:
                self._turn(turn, keep)
            print(f"  about {self._to_come / 60:.0f} minutes to come", flush=True)
            took = time.monotonic() - began

    def _seconds(self, every: Sequence[Turn]) -> float:
        return sum(self._rates.seconds(t.case, t.system, quick=self._quick) for t in every)

    def _turn(self, turn: Turn, keep: Callable[[], None]) -> None:
        self._to_come -= self._seconds([turn])
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
        """Return the size of all samples of this run, after two pilots where nothing is known: so
        few jobs as in the first are over before a fast system is at its speed."""
        jobs = self._rates.jobs(size, turn.system, quick=self._quick)
        if jobs is not None:
            return jobs
        jobs = PILOT_JOBS
        for _ in range(PILOTS):
            pilot = self._sample(turn, jobs, pilot=True)
            self._rates.note(size, turn.system, pilot.figures["rate"])
            jobs = self._rates.jobs(size, turn.system, quick=self._quick) or jobs
        return jobs

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


def _line(turn: Turn, sample: Sample) -> str:
    head = f"{turn.round + 1} {turn.case.name:<16} {turn.system.name:<18}"
    if sample.failure:
        return f"{head} failed: {in_short(sample.failure)}"
    figures = [
        f"{name} {value:,.1f}" if value < 100 else f"{name} {value:,.0f}"
        for name, value in sample.figures.items()
    ]
    return f"{head} {'  '.join(figures)}  ({sample.jobs:,} jobs, {sample.seconds:.1f} s)"
