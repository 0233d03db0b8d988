"""What the drain of the benchmark counts: the jobs and the CPU behind the moment when all run."""

from __future__ import annotations

import pytest

from bench.cases.drain import Look, figures
from bench.harness.programs import ProgramFailed
from bench.harness.stage import Stage, Usage
from bench.harness.system import System
from tests.unit.test_bench_programs import Shelf


class Served(Shelf):
    """A store that has a server."""

    def pids(self) -> list[int]:
        return [1]


def ground(shelf: Shelf) -> Stage:
    system = System("s", "s", "postgresql", "", "", frozenset(), False, False)
    return Stage(system, [], shelf, jobs=1_000)


FIRST = Look(200, 1_000_000_000, Usage(worker=0.5, store=3.0))
LAST = Look(1_000, 3_000_000_000, Usage(worker=0.9, store=3.2))


def test_rate_and_cpu_are_of_the_jobs_behind_the_moment_when_all_run() -> None:
    assert figures(ground(Served()), FIRST, LAST) == {
        "rate": 400.0,
        "worker_us": pytest.approx(500.0),
        "store_us": pytest.approx(250.0),
    }


def test_a_store_without_a_server_has_no_cpu_of_its_own() -> None:
    assert figures(ground(Shelf()), FIRST, LAST).keys() == {"rate", "worker_us"}


def test_a_sample_most_of_which_was_over_before_all_ran_is_no_sample() -> None:
    most = Look(501, FIRST.at_ns, FIRST.used)
    with pytest.raises(ProgramFailed, match="501 of 1000 jobs were done before all processes ran"):
        figures(ground(Shelf()), most, LAST)
    assert figures(ground(Shelf()), Look(500, FIRST.at_ns, FIRST.used), LAST)["rate"] == 250.0
