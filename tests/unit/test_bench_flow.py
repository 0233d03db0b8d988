"""What the long cases of the benchmark make of the windows that they looked through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cases.long_flow import _figures, minutes
from bench.harness.windows import Window, together

TRACED = Path(__file__).resolve().parents[2] / "bench" / "systems" / "jobpipe" / "traced"


def window(jobs: int, store: float, seconds: float = 10.0) -> Window:
    return Window(seconds=seconds, jobs=jobs, worker=store / 2, store=store)


def test_windows_together_are_one_with_the_mean_rate() -> None:
    whole = together([window(100, 1.0), window(300, 2.0, seconds=30.0)])
    assert (whole.seconds, whole.jobs, whole.worker, whole.store) == (40.0, 400, 1.5, 3.0)
    assert whole.rate == 10.0


def test_a_minute_is_six_windows_and_a_third_of_a_short_case() -> None:
    long = [window(n, 1.0) for n in range(1, 31)]
    first, last = minutes(long)
    assert (first.jobs, last.jobs) == (1 + 2 + 3 + 4 + 5 + 6, 25 + 26 + 27 + 28 + 29 + 30)
    first, last = minutes(long[:6])
    assert (first.jobs, last.jobs) == (1 + 2, 5 + 6)
    first, last = minutes(long[:2])
    assert (first.jobs, last.jobs) == (1, 2)


def test_growth_is_the_cost_of_a_job_at_the_end_against_the_beginning() -> None:
    seen = [window(1_000_000, 20.0), window(900_000, 20.0), window(500_000, 15.0)]
    figures = _figures(seen)
    assert figures["store_first"] == pytest.approx(20.0)
    assert figures["store_last"] == pytest.approx(30.0)
    assert figures["growth"] == pytest.approx(1.5)
    assert figures["rate_last"] == 50_000
    assert figures["rate"] == 80_000


def test_a_system_that_stands_still_has_figures_too() -> None:
    figures = _figures([window(0, 0.0), window(0, 0.5), window(0, 0.5)])
    assert figures["rate_last"] == 0.0


def test_each_statement_of_sqlite_is_counted_once(tmp_path: Path) -> None:
    counted = tmp_path / "statements"
    code = (
        "import sqlite3; c = sqlite3.connect(':memory:');"
        "c.execute('SELECT 1').fetchall(); c.execute('PRAGMA data_version').fetchall();"
        "c.execute('CREATE TABLE t (x)')"
    )
    environment = os.environ | {"PYTHONPATH": str(TRACED), "BENCH_STATEMENTS": str(counted)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert counted.read_bytes() == b".v."
