"""The order in which systems are measured, and the taking of samples.

In every round each case asks all its systems in turn, and the order turns around with each round
(A B C, C B A, ...), so that what drifts during a run weighs on all of them alike.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.harness import meter
from bench.harness.case import Case, Measured
from bench.harness.programs import ProgramFailed
from bench.harness.samples import Sample
from bench.harness.system import System, Unusable

FAILURES = (ProgramFailed, Unusable, OSError, ValueError, KeyError, ZeroDivisionError)
"""What spoils one sample and never the run."""


@dataclass(frozen=True)
class Turn:
    """One sample to be taken."""

    case: Case
    system: System
    round: int


def turns(
    cases: Sequence[Case], systems: Sequence[System], rounds: int, *, quick: bool
) -> Iterator[Turn]:
    """Return all turns of a run, in their order."""
    for number in range(rounds):
        for case in cases:
            asked = [
                system
                for system in systems
                if case.asks(system) and number < rounds_of(case, system, rounds, quick=quick)
            ]
            for system in asked if number % 2 == 0 else asked[::-1]:
                yield Turn(case, system, number)


def rounds_of(case: Case, system: System, rounds: int, *, quick: bool) -> int:
    """Return in how many rounds of a run this case asks this system."""
    bounds = [rounds, case.rounds, system.rounds, case.quick_rounds if quick else None]
    return min(bound for bound in bounds if bound is not None)


def take(turn: Turn, measure: Callable[[Turn], Measured]) -> Sample:
    """Measure, whatever happens: a failure is told in the sample."""
    began, before, ours = time.monotonic(), meter.machine_cpu(), meter.cpu_seconds([os.getpid()])
    failure, measured = "", Measured({})
    try:
        measured = measure(turn)
    except FAILURES as error:
        failure = f"{type(error).__name__}: {error}"
    after, ours = meter.machine_cpu(), meter.cpu_seconds([os.getpid()]) - ours
    return Sample(
        case=turn.case.name,
        system=turn.system.name,
        round=turn.round,
        figures=measured.figures,
        jobs=measured.jobs,
        series=measured.series,
        step=measured.step,
        note=measured.note,
        steal=round(after.steal_since(before), 1),
        others=round(after.others_since(before, ours), 1),
        seconds=round(time.monotonic() - began, 2),
        failure=failure,
    )
