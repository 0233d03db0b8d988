"""Processes race for unique keys while workers run the jobs, and some of the workers die.

Every pair of jobs that wanted one live key is looked at afterwards: none of them was there before
the one before it had ended; and no key is left behind.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jobpipe import Jobpipe, Unique
from jobpipe.model.state import FINAL
from tests.conformance.drivers import Place, file_place, server_place
from tests.waiting import until

PROGRAM = """
import json, random, sys, time
from jobpipe import Jobpipe, Unique
from jobpipe.errors import DuplicateKey

settings, role, seed = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
jp = Jobpipe(**settings)
chance = random.Random(seed)

@jp.task(name="work", unique="work-{key}", retry_delays=(0,), max_attempts=3)
def work(key: int, n: int) -> None:
    time.sleep(chance.random() / 100)
    if chance.random() < 0.1:
        raise ValueError("try again")

if role == "worker":
    with jp.running():
        print("ready", flush=True)
        sys.stdin.read()
    sys.exit()

print("ready", flush=True)
sys.stdin.readline()
ends = time.monotonic() + float(sys.argv[4])
n = 0
while time.monotonic() < ends:
    n += 1
    scope = chance.choice(["waiting", "live"])
    answer = chance.choice(["return", "replace", "refuse"])
    wish = Unique(f"{scope}-{{key}}", scope=scope, answer=answer)
    task = work.using(unique=wish)
    keys = [chance.randrange(3) for _ in range(chance.choice([1, 1, 4]))]
    try:
        jp.enqueue_many([task.call(key, n) for key in keys])
    except DuplicateKey:
        pass
print(n, flush=True)
"""

SECONDS = 4.0


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return file_place(tmp_path)
    return server_place(request.getfixturevalue("postgres_url"))


def begun(place: Place, role: str, seed: int) -> subprocess.Popen[str]:
    """Start a process and wait until it is ready."""
    settings = json.dumps({**place.settings, "poll_seconds": 0.1, "lease_seconds": 1})
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, settings, role, str(seed), str(SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if role == "worker" else None,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=30)
    return said


def test_no_key_is_held_twice_and_none_is_left_behind(place: Place) -> None:
    """Takes about ten seconds: processes start, race, and one of them dies with its jobs."""
    jp = Jobpipe(**place.settings)
    jp.migrate()
    workers = [begun(place, "worker", seed) for seed in (1, 2)]
    producers = [begun(place, "producer", seed) for seed in (3, 4, 5)]
    for each in producers:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    time.sleep(random.uniform(0.5, SECONDS - 0.5))
    workers[0].kill()
    workers[0].communicate()
    asked = [int(ended(each)) for each in producers]
    assert min(asked) > 5
    assert {each.returncode for each in producers} == {0}
    until(lambda: not waiting(place), 30)
    ended(workers[1])
    assert_one_at_a_time(place)
    assert place.sql("SELECT id FROM {p}job WHERE waiting_key IS NOT NULL") == []
    for key in range(3):
        for scope in ("waiting", "live"):
            assert_free(jp, scope, key)
    jp.close()


def waiting(place: Place) -> list[dict[str, Any]]:
    final = ", ".join(f"'{state}'" for state in sorted(FINAL))
    return place.sql(f"SELECT id FROM {{p}}job WHERE state NOT IN ({final})")


def assert_one_at_a_time(place: Place) -> None:
    """Each job of a live key was made after the one before it had ended."""
    jobs = place.sql(
        "SELECT id, unique_key, created_at, finished_at FROM {p}job"
        " WHERE unique_key LIKE 'live-%' ORDER BY created_at, id"
    )
    by_key: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        by_key.setdefault(job["unique_key"], []).append(job)
    assert sorted(by_key) == ["live-0", "live-1", "live-2"]
    assert max(len(each) for each in by_key.values()) > 1  # how many depends on the machine
    for row in by_key.values():
        for before, after in pairwise(row):
            assert before["finished_at"] <= after["created_at"], (before, after)


def assert_free(jp: Jobpipe, scope: Any, key: int) -> None:
    @jp.task(name=f"other-{scope}-{key}", unique=Unique(f"{scope}-{key}", scope=scope))
    def other() -> None:
        return None

    assert other.enqueue().created
