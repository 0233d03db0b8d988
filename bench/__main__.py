"""The benchmark's command line: ``make bench``, or ``python -m bench`` in its environment."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.cases import all_cases
from bench.harness import machine, plots, report, venvs
from bench.harness.case import Case
from bench.harness.rates import Rates
from bench.harness.results import Results, read
from bench.harness.runner import Runner
from bench.harness.system import System
from bench.systems import all_systems

OUT = Path("bench/results/latest.json")
FULL_MINUTES = 65
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
    if given.show:
        return _tell(given, read(given.out))
    results = read(given.out) if given.add and given.out.exists() else Results()
    cases, systems = _chosen_cases(given), _chosen_systems(given)
    _measure(given, results, cases, systems)
    return _tell(given, results)


def _measure(
    given: argparse.Namespace, results: Results, cases: list[Case], systems: list[System]
) -> None:
    ends = time.monotonic() + given.minutes * 60
    results.forget([case.name for case in cases], [system.name for system in systems])
    kept = list(results.samples)
    with ExitStack() as stack:
        runner = Runner(stack, Rates(venvs.HOME / "rates.json"), quick=given.quick)
        results.about |= _about(given)
        results.machine = machine.hardware()
        print("Setting up", flush=True)
        usable = runner.set_up(systems)
        _note(results, runner, cases, usable)

        def keep() -> None:
            results.samples = kept + runner.samples
            results.write(given.out)

        print("Measuring", flush=True)
        runner.run(cases, usable, given.rounds, ends=ends, keep=keep)


def _about(given: argparse.Namespace) -> dict[str, str]:
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": machine.commit(venvs.ROOT),
        "run": f"{'quick' if given.quick else 'full'}, {given.rounds} rounds",
    }


def _note(results: Results, runner: Runner, cases: list[Case], usable: list[System]) -> None:
    """Write down who is measured, on what, by which cases; in the order of the tables."""
    measured = {system.name for system in usable}
    results.missing = {
        name: why for name, why in results.missing.items() if name not in measured
    } | runner.missing
    for system in usable:
        version, language = venvs.version(system), venvs.language_version(system)
        results.note_system(system, version, language)
    for store in {system.store: None for system in usable}:
        results.servers[store] = runner.servers.facts(store)
    for case in cases:
        results.note_case(case)
    results.systems = _in_order(results.systems, all_systems())
    results.cases = _in_order(results.cases, all_cases())


def _in_order(found: dict[str, Any], order: Iterable[str]) -> dict[str, Any]:
    return {name: found[name] for name in order if name in found}


def _tell(given: argparse.Namespace, results: Results) -> int:
    text = report.markdown(results)
    given.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    pictures = plots.draw(results, given.plots or given.out.with_suffix(""))
    print(f"{given.out}, {given.out.with_suffix('.md')}, {len(pictures)} pictures")
    return 0 if any(sample.figures for sample in results.samples) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main peers, five minutes")
    parser.add_argument("--cases", default="", help="names, or beginnings of names")
    parser.add_argument("--systems", default="", help="names, or beginnings of names")
    parser.add_argument("--rounds", type=int, help="how often each case asks each system")
    parser.add_argument("--minutes", type=float, help="no further round that would pass them")
    parser.add_argument("--out", type=Path, default=OUT, help="the JSON file (and .md) to write")
    parser.add_argument("--plots", type=Path, help="the folder of the pictures")
    parser.add_argument("--add", action="store_true", help="keep what else the file holds")
    parser.add_argument("--show", action="store_true", help="only tell and draw what it holds")
    given = parser.parse_args()
    given.rounds = given.rounds or (3 if given.quick else 7)
    given.minutes = given.minutes or (4.7 if given.quick else FULL_MINUTES)
    return given


def _chosen_cases(given: argparse.Namespace) -> list[Case]:
    cases = all_cases()
    if given.cases:
        return [cases[name] for name in _named(cases, given.cases)]
    long = [case.name for case in cases.values() if case.long]
    print(f"Left out unless named, since they take long: {', '.join(long)}", flush=True)
    return [case for case in cases.values() if case.quick or not (given.quick or case.long)]


def _chosen_systems(given: argparse.Namespace) -> list[System]:
    systems = all_systems()
    if given.systems:
        return [systems[name] for name in _named(systems, given.systems)]
    return [
        system for system in systems.values() if system.name in QUICK_SYSTEMS or not given.quick
    ]


def _named(known: Mapping[str, object], text: str) -> list[str]:
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
