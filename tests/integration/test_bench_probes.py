"""Rows that the benchmark clones in SQL are jobs like any others, on both stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobpipe import Jobpipe

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "systems" / "jobpipe" / "program.py"


def ask(verb: str, url: str, **given: Any) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(PROGRAM), verb, json.dumps({"url": url, **given})]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


def test_cloned_rows_are_jobs_that_can_be_claimed_and_run(url: str, tmp_path: Path) -> None:
    tally = str(tmp_path / "tally")
    ask("prepare", url)
    ask("fill", url, jobs=3, task="noop")
    assert ask("left", url) == {"left": 3}
    ask("worked", url, tally=tally, jobs=3)
    assert ask("left", url) == {"left": 0}

    ask("clone", url, finished=500)
    ask("clone", url, waiting=40)
    assert ask("left", url) == {"left": 40}
    assert len(ask("claims", url, claims=3, limit=5)["ms"]) == 3
    assert ask("left", url) == {"left": 25}
    assert ask("worked", url, tally=tally, jobs=25)["ms"]
    assert ask("left", url) == {"left": 0}
    with closing(Jobpipe(url)) as jp:
        counts = jp.counts()
    assert counts["succeeded"] == sum(counts.values()) == 543
