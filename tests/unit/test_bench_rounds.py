"""The benchmark's order: who is measured when, how large a sample is, and what a failure costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cases import all_cases
from bench.harness import runner as running
from bench.harness.case import Case, Figure, Measured, Size
from bench.harness.meter import Cpu, cpu_seconds, tree
from bench.harness.programs import ProgramFailed
from bench.harness.rates import Rates
from bench.harness.rounds import Turn, take, turns
from bench.harness.runner import Runner
from bench.harness.stage import Stage
from bench.harness.system import System, Unusable
from bench.systems import all_systems

SIZE = Size(full=100_000, quick=20_000, kin="drain")


def answer(_: Stage) -> Measured:
    return Measured({"rate": 1.0})


def system(name: str, *abilities: str) -> System:
    return System(name, name, "sqlite", "", "", frozenset(abilities), False, False)


def case(name: str, **given: Any) -> Case:
    return Case(name, name, (Figure("rate", "jobs/s"),), answer, **given)


def order(found: Iterable[Turn]) -> list[str]:
    return [f"{turn.round}{turn.case.name}{turn.system.name}" for turn in found]


def test_systems_are_asked_in_turn_and_each_round_turns_the_order_around() -> None:
    systems = [system("A"), system("B"), system("C")]
    found = turns([case("x"), case("y")], systems, 3, quick=False)
    assert order(found) == [
        *("0xA", "0xB", "0xC", "0yA", "0yB", "0yC"),
        *("1xC", "1xB", "1xA", "1yC", "1yB", "1yA"),
        *("2xA", "2xB", "2xC", "2yA", "2yB", "2yC"),
    ]


def test_a_case_is_asked_only_of_who_is_able() -> None:
    systems = [system("A", "work", "noop"), system("B", "work"), system("C", "work", "noop")]
    able = case("x", needs=frozenset({"work", "noop"}), only=frozenset({"B", "C"}))
    elsewhere = case("y", stores=frozenset({"redis"}))
    assert order(turns([able, elsewhere], systems, 1, quick=False)) == ["0xC"]


def test_a_case_may_make_fewer_rounds() -> None:
    cases = [case("x", rounds=1), case("y", quick_rounds=2), case("z")]
    full = order(turns(cases, [system("A")], 3, quick=False))
    assert full == ["0xA", "0yA", "0zA", "1yA", "1zA", "2yA", "2zA"]
    assert order(turns(cases, [system("A")], 3, quick=True)) == [s for s in full if s != "2yA"]


def test_a_system_that_is_far_behind_is_asked_in_fewer_rounds() -> None:
    systems = [replace(system("A"), rounds=1), system("B")]
    found = turns([case("x"), case("y", rounds=2)], systems, 3, quick=False)
    assert order(found) == ["0xA", "0xB", "0yA", "0yB", "1xB", "1yB", "2xB"]


def test_the_time_of_a_run_follows_from_sizes_and_speeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = Rates(tmp_path / "rates.json")
    sized = case("x", size=SIZE, needs=frozenset({"work"}), lasts=3)
    able = system("A", "work")
    assert rates.seconds(sized, able, quick=False) == 3 + 4  # nothing known
    rates.note(SIZE, able, 50_000.0)
    assert rates.seconds(sized, able, quick=False) == 3 + 2 + 2  # to fill is as fast
    rates.note(Size(1, 1, "bulk"), able, 100_000.0)
    assert rates.seconds(sized, able, quick=False) == 3 + 1 + 2
    assert rates.seconds(case("y", lasts=60), able, quick=False) == 60
    with ExitStack() as stack:
        faked = Faked(stack, rates)
        faked.run([case("y", lasts=60)], [able], 2, ends=time.monotonic() + 9, keep=lambda: None)
    assert "2 samples, about 2 minutes" in capsys.readouterr().out


def test_a_failure_becomes_a_sample_and_never_the_end() -> None:
    def fail(_: Turn) -> Measured:
        raise ProgramFailed("work ended with 1\nKeyError: 'n'")

    sample = take(Turn(case("x"), system("A"), 2), fail)
    assert (sample.case, sample.system, sample.round) == ("x", "A", 2)
    assert sample.failure == "ProgramFailed: work ended with 1\nKeyError: 'n'"
    assert not sample.figures


def test_a_sample_keeps_what_was_measured() -> None:
    measured = Measured({"rate": 5.0}, jobs=100, series={"rate": [1.0]}, note="only just")
    sample = take(Turn(case("x"), system("A"), 0), lambda _: measured)
    assert (sample.figures, sample.jobs, sample.note) == ({"rate": 5.0}, 100, "only just")
    assert sample.series == {"rate": [1.0]}
    assert not sample.failure


@pytest.mark.parametrize(
    "rate, jobs",
    [(1_000_000.0, 100_000), (5_312.0, 21_000), (490.0, 1_900), (3.0, 200)],
)
def test_a_slow_system_gets_small_samples_of_round_sizes(
    tmp_path: Path, rate: float, jobs: int
) -> None:
    rates = Rates(tmp_path / "rates.json")
    rates.note(SIZE, system("A"), rate)
    assert rates.jobs(SIZE, system("A"), quick=False) == jobs


def test_speeds_are_kept_between_runs_and_shared_by_kin(tmp_path: Path) -> None:
    Rates(tmp_path / "rates.json").note(SIZE, system("A"), 1_000.0)
    later = Rates(tmp_path / "rates.json")
    assert later.jobs(Size(50_000, 500, "drain"), system("A"), quick=False) == 4_000
    assert later.jobs(Size(50_000, 500, "drain"), system("A"), quick=True) == 500
    assert later.jobs(Size(50_000, 500, "other"), system("A"), quick=False) is None


class Faked(Runner):
    """Takes samples without any process; ``asked`` lists (case, system, jobs)."""

    def __init__(self, stack: ExitStack, rates: Rates, *, quick: bool = False) -> None:
        super().__init__(stack, rates, quick=quick)
        self.asked: list[tuple[str, str, int]] = []

    def _sample(self, turn: Turn, jobs: int, *, pilot: bool = False) -> Measured:
        self.asked.append((turn.case.name, turn.system.name, jobs))
        if turn.system.name == "broken":
            raise ProgramFailed("it is broken")
        return Measured({"rate": 1_000.0 * len(self.asked)}, jobs=jobs)


@pytest.fixture
def faked(tmp_path: Path) -> Iterable[Faked]:
    with ExitStack() as stack:
        yield Faked(stack, Rates(tmp_path / "rates.json"))


def test_two_pilots_find_the_size_and_the_run_keeps_it(faked: Faked) -> None:
    sized = case("x", size=SIZE)
    faked.run([sized], [system("A")], 2, ends=time.monotonic() + 60, keep=lambda: None)
    assert faked.asked == [
        ("x", "A", running.PILOT_JOBS),
        ("x", "A", 4_000),
        ("x", "A", 8_000),
        ("x", "A", 8_000),
    ]
    assert [sample.jobs for sample in faked.samples] == [8_000, 8_000]


def test_who_failed_twice_is_not_asked_again(faked: Faked) -> None:
    systems = [system("A"), system("broken")]
    faked.run([case("x")], systems, 4, ends=time.monotonic() + 60, keep=lambda: None)
    asked = [name for _, name, _ in faked.asked]
    assert (asked.count("A"), asked.count("broken")) == (4, 2)


def test_the_first_round_is_always_whole_and_none_follows_too_late(faked: Faked) -> None:
    kept: list[int] = []
    cases = [case("x"), case("y")]
    ends = time.monotonic() - 1
    faked.run(cases, [system("A")], 5, ends=ends, keep=lambda: kept.append(len(faked.samples)))
    assert faked.asked == [("x", "A", 0), ("y", "A", 0)]
    assert kept == [1, 2]


def test_who_cannot_be_set_up_is_told_of_and_the_others_are_measured(
    faked: Faked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_up(wanted: System) -> None:
        if wanted.name == "broken":
            raise Unusable("node is not installed")

    monkeypatch.setattr(running.venvs, "set_up", set_up)
    usable = faked.set_up([system("broken"), system("A")])
    assert [each.name for each in usable] == ["A"]
    assert faked.missing == {"broken": "node is not installed"}


def test_shares_of_the_machine() -> None:
    before, after = Cpu(total=1_000, steal=10, busy=200), Cpu(total=1_400, steal=30, busy=500)
    assert after.steal_since(before) == 5.0
    ticks = os.sysconf("SC_CLK_TCK")
    assert after.others_since(before, ours=100 / ticks) == 50.0
    assert after.others_since(before, ours=1_000 / ticks) == 0.0


def test_a_tree_has_its_root_and_its_cpu() -> None:
    began = cpu_seconds([os.getpid()])
    while cpu_seconds([os.getpid()]) - began < 0.03:
        pass
    assert os.getpid() in tree([os.getppid()])
    assert os.getppid() not in tree([os.getpid()])


def test_every_system_and_case_has_a_name_of_its_own_and_a_program() -> None:
    systems, cases = all_systems(), all_cases()
    assert {"jobpipe", "jobpipe_sqlite", "floor_postgres", "floor_sqlite"} <= systems.keys()
    assert {"drain-1", "enqueue-bulk", "pickup-idle"} <= cases.keys()
    for name, entry in systems.items():
        folder = Path("bench/systems") / (entry.folder or name)
        program = "program.mjs" if entry.language == "node" else "program.py"
        assert (folder / program).exists(), name
    answered = {s for c in cases.values() for s in systems if c.asks(systems[s])}
    assert answered == systems.keys()


def test_the_harness_runs_where_jobpipe_is_not_installed() -> None:
    code = (
        "import sys; sys.modules['jobpipe'] = None; "
        "from bench.systems import all_systems; print('huey' in all_systems())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("True", "")
