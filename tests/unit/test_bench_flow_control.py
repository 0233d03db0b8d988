"""What the benchmark of flow control makes of its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.flow.case import Bound, Case, Figures, Ground, line
from bench.flow.spans import between, each_second, most_within, tenths

ROOT = Path(__file__).resolve().parents[2]


async def unasked(_ground: Ground) -> Figures:
    raise AssertionError


def judged(rounds: list[Figures], *bounds: Bound) -> Figures:
    return line(Case(unasked, "a goal", bounds), rounds)


@pytest.mark.parametrize(
    "times,seconds,most",
    [
        ([], 1.0, 0),
        ([3.0], 1.0, 1),
        ([0.0, 0.5, 1.0], 1.0, 2),  # the end belongs to the next window
        ([0.0, 0.75, 1.0, 1.25, 1.5, 1.75], 1.0, 4),
        ([0.0, 2.0, 2.0, 2.0, 9.0], 1.0, 3),
        ([0.0, 0.4, 0.8, 1.2], 10.0, 4),
    ],
)
def test_the_fullest_window_may_begin_anywhere(
    times: list[float], seconds: float, most: int
) -> None:
    assert most_within(times, seconds) == most


def test_windows_hold_their_beginning_and_not_their_end() -> None:
    times = [0.0, 1.0, 1.5, 2.0, 3.5]
    assert between(times, 1.0, 1.0) == 2
    assert each_second(times, 1.0, 2.9) == [2, 1]


def test_tenths_begin_where_the_one_before_ends() -> None:
    slow_at_first = [0.0, 2.0, 4.0, *(4.0 + number / 2 for number in range(1, 19))]
    assert tenths(slow_at_first) == [0.5, *[2.0] * 9]


def test_a_single_round_is_told_as_it_is() -> None:
    told = judged([{"share": 0.9, "tenths": [1, 2]}], Bound("share", least=0.85))
    assert told == {
        "rounds": 1,
        "share": 0.9,
        "tenths": [1, 2],
        "goal": "a goal",
        "reached": True,
    }


def test_several_rounds_are_told_as_a_spread_and_judged_by_the_median() -> None:
    rounds: list[Figures] = [{"share": share} for share in (0.9, 0.7, 0.86)]
    told = judged(rounds, Bound("share", least=0.85))
    assert told["share"] == {"min": 0.7, "median": 0.86, "max": 0.9}
    assert told["reached"]
    assert not judged(rounds, Bound("share", least=0.87))["reached"]


def test_what_must_never_be_passed_is_judged_in_each_round() -> None:
    rounds: list[Figures] = [{"most": most} for most in (1_100, 1_101, 1_050)]
    assert not judged(rounds, Bound("most", most=1_100, always=True))["reached"]
    assert judged(rounds, Bound("most", most=1_101, always=True))["reached"]


def test_all_bounds_have_to_hold() -> None:
    rounds: list[Figures] = [{"share": 1.03, "most": 1_000}]
    bounds = Bound("share", least=0.98, most=1.02), Bound("most", most=1_100)
    assert not judged(rounds, *bounds)["reached"]
    assert judged(rounds, bounds[1])["reached"]


def test_cases_run_on_a_file_of_their_own_and_add_lines_to_the_results(tmp_path: Path) -> None:
    out = tmp_path / "flow.jsonl"
    out.write_text('{"case": "before"}\n', encoding="utf-8")
    sizes = ["--seconds", "0.2", "--keys", "20", "--waiting", "100"]
    subprocess.run(
        [sys.executable, "-m", "bench.flow", "keys", "explain", "open", *sizes, "--out", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    lines = [json.loads(text) for text in out.read_text(encoding="utf-8").splitlines()]
    assert [each["case"] for each in lines] == ["before", "keys", "explain"]  # open: no server
    keys, explained = lines[1:]
    assert (keys["store"], keys["keys"], len(keys["jobs_per_second"])) == ("sqlite", 20, 10)
    assert (explained["waiting"], explained["p50_ms"] > 0) == (100, True)
    assert isinstance(explained["reached"], bool)
