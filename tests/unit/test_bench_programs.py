"""The benchmark's programs: answers, tallies, the look at what is left, the end of it all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.harness.programs import Program, ProgramFailed
from bench.harness.stage import Stage
from bench.harness.system import System
from bench.systems import kit
from tests.waiting import is_alive, until

SYSTEMS = Path(kit.__file__).parent
BODY = f"""
import os, subprocess, sys, time
sys.path.append({str(SYSTEMS)!r})
import kit

def left(url, looks=[]):
    looks.append(url)
    return {{"left": 3 - len(looks)}}

async def fill(url, jobs, task):
    print("a line of its own")
    return {{"seconds": await kit.filled(jobs, 4, lambda some: kit.asyncio.sleep(0))}}

def fail(url):
    sys.exit("it is broken")

def work(url, tally, kind, processes=1):
    child = subprocess.Popen(["sleep", "60"])
    kit.Path(tally, str(child.pid) + ".child").touch()
    print("x" * 200_000, flush=True)
    for _ in range(300 * processes):
        kit.tally().stamp(time.monotonic_ns() - 5_000_000)
    kit.tally().flush()
    time.sleep(60)

kit.run(left=left, fill=fill, fail=fail, work=work, prepare=lambda url: None)
"""


class Shelf:
    """A store that is only a name."""

    dropped: tuple[str, ...] = ()

    def fresh(self) -> str:
        return "shelf:1"

    def drop(self, url: str) -> None:
        self.dropped += (url,)

    def pids(self) -> list[int]:
        return []


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(BODY)
    return [sys.executable, str(program)]


def stage(command: list[str], *abilities: str, shelf: Shelf | None = None) -> Stage:
    system = System("s", "s", "sqlite", "", "", frozenset(abilities), False, False)
    return Stage(system, command, shelf or Shelf())


def test_the_answer_is_the_last_line(command: list[str]) -> None:
    with stage(command) as ground:
        assert 0 <= ground.seconds("fill", jobs=10, task="noop") < 5
        assert ground.run("prepare") == {}


def test_a_failed_verb_tells_what_the_program_said(command: list[str]) -> None:
    with stage(command) as ground, pytest.raises(ProgramFailed, match=r"ended with 1\nit is brok"):
        ground.run("fail")


def test_a_verb_that_takes_too_long_is_ended(command: list[str], tmp_path: Path) -> None:
    given = {"url": "", "tally": str(tmp_path), "kind": "noop"}
    with Program(command, "work", given, tmp_path) as program:
        with pytest.raises(ProgramFailed, match="more than 0 s"):
            program.answer(0.2)
        assert program.ended


def test_the_watch_waits_for_the_tally_and_then_for_the_store(command: list[str]) -> None:
    with stage(command) as ground:
        watch = ground.start("watch", tally=str(ground.tally), jobs=2)
        watch.until_said("ready")
        counts = kit.Tally(str(ground.tally))
        counts.count()
        time.sleep(5 * kit.WATCH_SECONDS)  # time enough for a watch that would not wait
        before = time.monotonic_ns()
        counts.count()
        at_ns = watch.answer(20)["at_ns"]
        # Three looks, the third of which finds nothing: one before it was ready, and two now.
        assert before + kit.WATCH_SECONDS * 1e9 <= at_ns <= time.monotonic_ns()


def test_a_watch_ends_with_whoever_asked(command: list[str], tmp_path: Path) -> None:
    given = json.dumps({"url": "", "tally": str(tmp_path), "jobs": 1})
    asks = (
        "import subprocess, sys;"
        f"watch = subprocess.Popen([*{command!r}, 'watch', {given!r}], stdout=subprocess.PIPE);"
        "watch.stdout.readline(); print(watch.pid, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", asks], check=True, capture_output=True, text=True)
    until(lambda: not is_alive(int(done.stdout)))


def test_processes_run_once_they_have_run_a_job(command: list[str]) -> None:
    with stage(command) as ground:
        assert ground.running() == 0
        (ground.tally / "1.tally").touch()  # just being made
        assert ground.running() == 0
        kit.Tally(str(ground.tally)).count()
        assert ground.running() == 1
        with ground.workers(2) as workers:
            ground.until_done(601, workers, seconds=20)
            assert ground.running() == 3


def test_workers_count_and_stamp_and_end_with_their_children(command: list[str]) -> None:
    shelf = Shelf()
    with stage(command, shelf=shelf) as ground:
        with ground.workers(2) as workers:
            ground.until_done(600, workers, seconds=20)
            assert len(workers) == 2
            children = [int(file.stem) for file in ground.tally.glob("*.child")]
        assert all(worker.ended for worker in workers)
        assert len(children) == 2
        until(lambda: not any(map(is_alive, children)))
        assert ground.done() == 600
        assert len(ground.stamps_ms()) == 600
        assert min(ground.stamps_ms()) >= 5
        first, last = ground.spans()
        assert 0 < first < last < time.monotonic_ns()
    assert shelf.dropped == ("shelf:1",)
    assert not ground.folder.exists()


def test_who_makes_processes_itself_is_started_once(command: list[str]) -> None:
    with stage(command, "processes") as ground, ground.workers(2) as workers:
        ground.until_done(600, workers, seconds=20)
        assert len(workers) == 1


def test_a_worker_that_ends_by_itself_is_told_of(command: list[str], tmp_path: Path) -> None:
    with stage(command) as ground:
        program = ground.start("fail")
        with pytest.raises(ProgramFailed, match=r"ended by itself\nit is broken"):
            ground.until_done(1, [program], seconds=20)


def test_jobs_that_do_not_come_are_told_of(command: list[str]) -> None:
    with stage(command) as ground, ground.workers() as workers:
        ground.until_done(300, workers, seconds=20)
        with pytest.raises(ProgramFailed, match="300 of 301 jobs done"):
            ground.until_done(301, workers, seconds=0.1)


def test_a_tally_is_one_file_a_process(tmp_path: Path) -> None:
    counts = kit.Tally(str(tmp_path))
    counts.count()
    if not (child := os.fork()):
        counts.count()
        counts.count()
        os._exit(0)
    os.waitpid(child, 0)
    counts.count()
    assert kit.total(tmp_path) == 4
    assert len([*tmp_path.glob("*.tally")]) == 2


def test_one_of_twenty_flaky_jobs_fails_once() -> None:
    assert [n for n in range(60) if kit.is_flaky(n)] == [0, 20, 40]
