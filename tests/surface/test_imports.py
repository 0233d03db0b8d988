"""What is loaded, and when: nothing in vain, so that commands answer and workers begin at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import jobpipe

HEAVY = [
    "asyncio",
    "asyncpg",
    "difflib",
    "httpx2",
    "logging",
    "msgspec",
    "psycopg",
    "rich",
    "sqlite3",
    "ssl",
    "tomllib",
    "traceback",
]

QUICK = [
    "jobpipe",
    "jobpipe.cli",
    "jobpipe.cli.choices",
    "jobpipe.cli.completing",
    "jobpipe.cli.exits",
    "jobpipe.cli.main",
    "jobpipe.cli.options",
    "jobpipe.cli.output",
    "jobpipe.cli.root",
    "jobpipe.cli.times",
    "jobpipe.cli.types",
    "jobpipe.clock",
    "jobpipe.config",
    "jobpipe.config.completion",
    "jobpipe.errors",
    "jobpipe.telemetry",
    "jobpipe.telemetry.escape",
]
"""All that the command needs before it knows its verb."""

TELL = f"""
import sys

def tell():
    ours = [name for name in sys.modules if name.partition(".")[0] == "jobpipe"]
    print(*sorted(ours))
    print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""

AT_LAUNCH = """
from jobpipe.cli.main import run
from jobpipe.runtime.supervisor import launch

def launched(command):
    tell()
    raise SystemExit

launch.Launched = launched
run(["worker", "app:jp"])
"""


def loaded(program: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return our modules and the heavy ones that a program has loaded when it calls ``tell``."""
    ended = subprocess.run(
        [sys.executable, "-c", TELL + program], cwd=folder, capture_output=True, check=True
    )
    ours, heavy = ended.stdout.decode().split("\n")[-3:-1]
    return ours.split(), heavy.split()


def test_the_package_alone_loads_nothing(tmp_path: Path) -> None:
    assert loaded("import jobpipe; tell()", tmp_path) == (["jobpipe"], [])


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_quick_answers_load_little(tmp_path: Path, word: str) -> None:
    verbs = f"from jobpipe.cli.main import run; run([{word!r}]); tell()"
    ours, heavy = loaded(verbs, tmp_path)
    assert heavy == []
    if word == "--version":
        assert ours == QUICK


def test_a_worker_is_started_before_its_supervisor_has_loaded_its_own_parts(tmp_path: Path) -> None:
    ours, heavy = loaded(AT_LAUNCH, tmp_path)
    assert heavy == []
    assert [name for name in ours if name.startswith("jobpipe.runtime")] == [
        "jobpipe.runtime",
        "jobpipe.runtime.supervisor",
        "jobpipe.runtime.supervisor.launch",
        "jobpipe.runtime.supervisor.page",
    ]
    assert "jobpipe.bootstrap" not in ours


def test_who_enqueues_loads_no_worker_and_no_driver_of_another_store(tmp_path: Path) -> None:
    program = """
from jobpipe import Jobpipe
jp = Jobpipe("sqlite:///jobs.db")
@jp.task(name="t")
def t() -> None: ...
t.enqueue()
tell()
"""
    ours, heavy = loaded(program, tmp_path)
    assert {"asyncpg", "httpx2", "psycopg", "rich"}.isdisjoint(heavy)
    parts = (
        "client",
        "http",
        "runtime.worker",
        "runtime.incarnation",
        "runtime.supervisor",
        "store.postgres",
    )
    assert [name for name in ours if name.removeprefix("jobpipe.").startswith(parts)] == []


def test_every_public_name_is_there_when_it_is_asked_for() -> None:
    for name in jobpipe.__all__:
        assert getattr(jobpipe, name) is not None
        assert name in dir(jobpipe)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        jobpipe.__getattr__("Nothing")
