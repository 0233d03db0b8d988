"""The benchmark's report: who stands where, compared with whom, and what could not be measured."""

from __future__ import annotations

from typing import Any

import pytest

from bench.harness.report import best_peer, markdown, number, standings
from bench.harness.results import Results
from bench.harness.samples import Sample

STORES = {
    "jobpipe": "postgresql",
    "jobpipe_sqlite": "sqlite",
    "floor_postgres": "postgresql",
    "pgqueuer": "postgresql",
    "slow": "postgresql",
    "huey": "sqlite",
    "celery": "redis",
}


def about(name: str) -> dict[str, Any]:
    return {
        "title": name.title(),
        "store": STORES[name],
        "version": "1.0",
        "language": "Python 3.11.7",
        "settings": "as it comes",
        "keeps_history": True,
        "durable": True,
    }


def run_of(case: dict[str, list[float]], *, more_is_better: bool = True) -> Results:
    figure = {"name": "rate", "unit": "jobs/s", "more_is_better": more_is_better, "title": ""}
    samples = [
        Sample("drain", system, number, {"rate": value}, jobs=1_000)
        for system, figures in case.items()
        for number, value in enumerate(figures)
    ]
    return Results(
        systems={name: about(name) for name in case},
        cases={"drain": {"title": "Drain", "figures": [figure], "goals": ["be fast"], "drawn": ""}},
        samples=samples,
    )


RATES = {
    "jobpipe": [30.0, 44.0, 36.0],
    "jobpipe_sqlite": [8.0],
    "floor_postgres": [60.0, 55.0, 60.0],
    "pgqueuer": [10.0, 11.0, 18.0],
    "slow": [1.0, 1.0, 1.0],
    "huey": [2.0],
    "celery": [4.0],
}


def test_the_best_stands_first() -> None:
    names = [standing.system for standing in standings(run_of(RATES), "drain")]
    assert names == [
        *("floor_postgres", "jobpipe", "pgqueuer", "jobpipe_sqlite", "celery", "huey", "slow"),
    ]


def test_where_less_is_better_the_least_stands_first_and_ratios_turn_around() -> None:
    delays = {"jobpipe": [2.0, 2.0], "pgqueuer": [5.0, 7.0]}
    found = standings(run_of(delays, more_is_better=False), "drain")
    assert [standing.system for standing in found] == ["jobpipe", "pgqueuer"]
    assert found[1].against == 3.0


def test_each_is_compared_with_ours_on_its_store_round_by_round() -> None:
    against = {s.system: s.against for s in standings(run_of(RATES), "drain")}
    assert against["pgqueuer"] == 3.0
    assert against["floor_postgres"] == pytest.approx(0.6)
    assert (against["huey"], against["celery"]) == (4.0, 2.0)
    assert against["jobpipe"] is None


def test_the_best_peer_is_no_floor_and_none_of_ours() -> None:
    found = standings(run_of(RATES), "drain")
    best = best_peer(found, ["postgresql"])
    assert best is not None
    assert best.system == "pgqueuer"
    assert best_peer(found, ["rabbitmq"]) is None


def test_the_report_tells_figures_ratios_goals_and_what_is_missing() -> None:
    results = run_of(RATES)
    results.missing["graphile_worker"] = "node is not installed"
    results.samples.append(
        Sample("drain", "slow", 3, failure="ProgramFailed: late\nKeyError", note="")
    )
    text = markdown(results)
    assert "**36.0** (30.0-44.0)" in text
    assert "- Jobpipe: 3.00 x the best peer (Pgqueuer), 60 % of the raw floor" in text
    assert "- goal: be fast" in text
    assert "- not measured: graphile_worker: node is not installed" in text
    assert "- drain, slow, round 4: ProgramFailed: late ... KeyError" in text
    rows = [line for line in text.splitlines() if line.startswith("| drain, PostgreSQL")]
    assert [cell.strip() for cell in rows[0].split("|")[2:-1]] == [
        "36.0 jobs/s",
        "Pgqueuer 11.0",
        "3.00 x",
        "60 %",
    ]


def test_every_row_of_a_table_is_as_wide_as_its_head() -> None:
    parts = markdown(run_of(RATES)).split("\n\n")
    tables = [part.splitlines() for part in parts if part.startswith("|")]
    assert [len(table) for table in tables] == [4, 9, 9]
    assert all(len({len(row) for row in table}) == 1 for table in tables)


def test_a_system_without_a_figure_stands_in_no_table() -> None:
    results = run_of({"jobpipe": [1.0], "pgqueuer": []})
    assert [standing.system for standing in standings(results, "drain")] == ["jobpipe"]


@pytest.mark.parametrize(
    "value, text",
    [(0.123, "0.12"), (9.87, "9.87"), (12.34, "12.3"), (1234.5, "1,234"), (158_432.0, "158k")],
)
def test_figures_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
