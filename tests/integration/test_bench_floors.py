"""The raw floors below Jobpipe drain a real store with the statements that the engine sends."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.harness.programs import Program
from bench.systems import kit
from jobpipe import Jobpipe
from tests.waiting import until

SYSTEMS = Path(__file__).resolve().parents[2] / "bench" / "systems"
JOBS = 2_500
STORED = JOBS + 20
"""Twenty were stored one by one."""


def ask(program: Path, verb: str, folder: Path, **given: Any) -> dict[str, Any]:
    with Program([sys.executable, str(program)], verb, given, folder) as running:
        return running.answer()


@pytest.mark.parametrize("floor", ["floor_sqlite", "floor_postgres"])
def test_a_floor_drains_its_store(
    floor: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fixture = "sqlite_url" if floor == "floor_sqlite" else "postgres_url"
    url = str(request.getfixturevalue(fixture))
    program, tally = SYSTEMS / floor / "program.py", tmp_path / "tally"
    ask(program, "prepare", tmp_path, url=url)
    ask(program, "fill", tmp_path, url=url, jobs=JOBS, task="noop")
    ask(program, "enqueue", tmp_path, url=url, jobs=20, mode="sync", callers=2)
    assert ask(program, "left", tmp_path, url=url) == {"left": STORED}

    given = {"url": url, "tally": str(tally), "kind": "noop"}
    command = [sys.executable, str(program)]
    with Program(command, "work", given, tmp_path, answers=False) as worker:
        until(lambda: worker.ended or kit.total(tally) >= STORED)
        assert not worker.ended, worker.tail()
        worker.stop()
    assert kit.total(tally) == STORED
    with closing(Jobpipe(url)) as jp:
        counts = jp.counts()
    assert counts["succeeded"] == sum(counts.values()) == STORED
