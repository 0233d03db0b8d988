"""The goals of the benchmark are judged by figures, round by round."""

from __future__ import annotations

from typing import Any

import pytest

from bench.cases import all_cases
from bench.harness.goals import GOALS, rows
from bench.harness.report import markdown
from bench.harness.results import Results
from bench.harness.samples import Sample
from bench.systems import all_systems

Figures = dict[str, dict[str, list[float]]]
"""By system and figure, what each round came to."""


def run_of(**cases: Figures) -> Results:
    """Return a run with cases named by ``drain_1`` for ``drain-1``."""
    results = Results()
    for system in all_systems().values():
        language = "v20.1" if system.language == "node" else "Python 3.11.7"
        results.note_system(system, "1.0", language)
    for word, systems in cases.items():
        case = all_cases()[word.replace("_", "-")]
        results.note_case(case)
        for system, figures in systems.items():
            for number, found in enumerate(zip(*figures.values(), strict=True)):
                named = dict(zip(figures, found, strict=True))
                results.samples.append(Sample(case.name, system, number, named, jobs=1_000))
    return results


def judged(results: Results, what: str) -> tuple[str, str]:
    (row,) = (row for row in rows(results) if row[1] == what)
    return row[3], row[4]


DRAIN: dict[str, Any] = {
    "jobpipe": {"rate": [30.0, 50.0, 33.0], "worker_us": [12.0] * 3, "store_us": [20.0] * 3},
    "jobpipe_sqlite": {"rate": [40.0, 40.0, 40.0], "worker_us": [20.0] * 3},
    "floor_postgres": {"rate": [60.0, 60.0, 60.0], "worker_us": [5.0] * 3},
    "floor_sqlite": {"rate": [101.0, 101.0, 101.0], "worker_us": [5.0] * 3},
    "pgqueuer": {"rate": [10.0, 10.0, 10.0], "worker_us": [40.0] * 3},
    "graphile_worker": {"rate": [15.0, 15.0, 15.0], "worker_us": [15.0] * 3},
    "huey": {"rate": [5.0, 5.0, 5.0], "worker_us": [90.0] * 3},
    "rq": {"rate": [41.0], "worker_us": [90.0]},
}


@pytest.mark.parametrize(
    "what, measured, verdict",
    [
        ("PostgreSQL, by PgQueuer's", "3.30 x", "reached"),
        ("PostgreSQL, by Graphile Worker's", "2.20 x", "not reached"),
        ("PostgreSQL, of the raw floor", "55 %", "reached"),
        ("SQLite, by huey's", "8 x", "stretch reached"),
        ("SQLite, by the best Redis-backed peer's", "0.98 x (rq, Redis)", "not reached"),
        ("SQLite, of the raw floor", "39.60 %", "not reached"),
        (
            "CPU of the worker, by the best Python peer's on PostgreSQL",
            "0.30 x (PgQueuer)",
            "not reached",
        ),
    ],
)
def test_a_goal_is_judged_by_the_median_of_the_rounds(
    what: str, measured: str, verdict: str
) -> None:
    assert judged(run_of(drain_1=DRAIN), what) == (measured, verdict)


def test_processes_are_compared_with_each_other() -> None:
    two = {"jobpipe": {"rate": [50.0] * 3, "worker_us": [15.0] * 3, "store_us": [25.0] * 3}}
    eight = {"jobpipe": {"rate": [46.0]}}
    results = run_of(drain_1=DRAIN, drain_2=two, drain_8=eight)
    assert judged(results, "PostgreSQL, CPU a job, two by one") == ("1.25 x", "not reached")
    assert judged(results, "PostgreSQL, of the best number") == ("92 % (best: 2)", "reached")


def test_a_goal_without_figures_is_not_measured() -> None:
    results = run_of(drain_1={"jobpipe": {"rate": [1.0]}})
    assert judged(results, "SQLite, by huey's") == ("", "not measured")
    assert {row[0] for row in rows(results)} == {"drain-1"}


def test_the_report_begins_with_the_goals() -> None:
    text = markdown(run_of(drain_1=DRAIN))
    assert text.index("## Goals") < text.index("| drain-1, PostgreSQL")
    assert "stretch reached" in text


def test_every_goal_names_a_case() -> None:
    cases = all_cases()
    assert {goal.case for goal in GOALS} <= cases.keys()
    answered = {"drain-1", "drain-2", "drain-8", "enqueue-async", "enqueue-sync", "enqueue-32"}
    answered |= {"enqueue-bulk", "pickup-idle", "pickup-busy", "held-snapshot", "autovacuum-off"}
    assert {goal.case for goal in GOALS} == answered | {"history", "idle"}
