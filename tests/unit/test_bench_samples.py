"""The benchmark's sums: spreads, ratios of rounds, percentiles, and what a failure is cut to."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.harness.results import Results, read
from bench.harness.samples import Sample, Spread, in_short, percentile, ratio, spread, values


def sample(system: str, round_number: int, rate: float, case: str = "drain") -> Sample:
    return Sample(case, system, round_number, {"rate": rate})


def test_a_spread_tells_least_median_most_and_count() -> None:
    assert spread([9.0, 1.0, 4.0, 3.0]) == Spread(1.0, 3.5, 9.0, 4)
    assert spread([]) is None


def test_values_are_those_of_one_system_in_one_case_by_round() -> None:
    samples = [
        sample("a", 0, 10),
        sample("b", 0, 20),
        sample("a", 1, 30),
        sample("a", 2, 5, case="other"),
        Sample("drain", "a", 3, failure="broken"),
    ]
    assert values(samples, "drain", "a", "rate") == {0: 10, 1: 30}
    assert values(samples, "drain", "a", "worker_us") == {}


def test_a_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    # By round 2, 5 and 3; the medians (200 and 40) would make 5 of them.
    assert ratio({0: 20, 1: 200, 2: 300}, {0: 10, 1: 40, 2: 100}) == 3


def test_a_ratio_uses_only_rounds_that_both_have() -> None:
    assert ratio({0: 20, 1: 90}, {1: 30, 2: 1}) == 3
    assert ratio({0: 20}, {1: 30}) is None
    assert ratio({0: 20, 1: 8}, {0: 0, 1: 4}) == 2


@pytest.mark.parametrize("percent, expected", [(50, 50), (95, 95), (99, 99), (100, 100), (1, 1)])
def test_percentiles_of_a_hundred(percent: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_percentiles_of_few() -> None:
    assert percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert percentile([1.0, 2.0, 3.0], 99) == 3.0


def test_a_failure_is_cut_to_its_first_and_last_line() -> None:
    assert in_short("work ended with 1\n\nTraceback\n  File x\nKeyError: 'n'\n") == (
        "work ended with 1 ... KeyError: 'n'"
    )
    assert in_short("took too long") == "took too long"


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    results = Results(about={"run": "quick"}, missing={"b": "no node"})
    results.samples = [sample("a", 0, 10), Sample("drain", "b", 0, failure="broken", steal=1.5)]
    results.write(tmp_path / "deep" / "run.json")
    assert read(tmp_path / "deep" / "run.json") == results


def test_what_is_measured_anew_is_forgotten() -> None:
    results = Results(samples=[sample("a", 0, 1), sample("b", 0, 2), sample("a", 0, 3, "other")])
    results.forget(["drain"], ["a"])
    assert [(s.case, s.system) for s in results.samples] == [("drain", "b"), ("other", "a")]
