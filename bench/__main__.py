"""The benchmark's command line: ``make bench``, or ``python -m bench`` in its environment."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from bench.cases import all_cases
from bench.harness import venvs
from bench.harness.case import Case
from bench.harness.runner import Rates, Runner
from bench.harness.system import System
from bench.systems import all_systems

QUICK_SYSTEMS = (
    "jobpipe",
    "jobpipe_sqlite",
    "floor_postgres",
    "floor_sqlite",
    "pgqueuer",
    "graphile_worker",
    "huey",
)


def main() -> int:
    """Measure and report; fail when nothing at all could be measured."""
    given = _parse()
    cases, systems = _chosen_cases(given), _chosen_systems(given)
    with ExitStack() as stack:
        runner = Runner(stack, Rates(venvs.HOME / "rates.json"), quick=given.quick)
        print("Setting up", flush=True)
        usable = runner.set_up(systems)
        print("Measuring", flush=True)
        runner.run(cases, usable, given.rounds, seconds=given.minutes * 60, keep=lambda: None)
    return 0 if any(sample.figures for sample in runner.samples) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main peers, five minutes")
    parser.add_argument("--cases", default="", help="names, or beginnings of names")
    parser.add_argument("--systems", default="", help="names, or beginnings of names")
    parser.add_argument("--rounds", type=int, help="how often each case asks each system")
    parser.add_argument("--minutes", type=float, help="no round but the first begins after them")
    parser.add_argument("--out", type=Path, help="the JSON file to write")
    given = parser.parse_args()
    given.rounds = given.rounds or (3 if given.quick else 7)
    given.minutes = given.minutes or (4 if given.quick else 600)
    return given


def _chosen_cases(given: argparse.Namespace) -> list[Case]:
    cases = all_cases()
    if given.cases:
        return [cases[name] for name in _named(cases, given.cases)]
    return [case for case in cases.values() if case.quick or not given.quick]


def _chosen_systems(given: argparse.Namespace) -> list[System]:
    systems = all_systems()
    if given.systems:
        return [systems[name] for name in _named(systems, given.systems)]
    return [
        system for system in systems.values() if system.name in QUICK_SYSTEMS or not given.quick
    ]


def _named(known: dict[str, object] | dict[str, Case] | dict[str, System], text: str) -> list[str]:
    """Return the names that the text asks for: exactly those, or all that begin so."""
    names: list[str] = []
    for word in text.replace(",", " ").split():
        found = [word] if word in known else [name for name in known if name.startswith(word)]
        if not found:
            sys.exit(f"nothing is called {word}; there are: {', '.join(known)}")
        names += found
    return [name for name in known if name in names]


if __name__ == "__main__":
    sys.exit(main())
