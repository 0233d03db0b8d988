"""``jobpipe bench``: its figures, and that it leaves nothing behind, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from jobpipe.cli import measure
from jobpipe.store.ops.discard import drop_bench_schema
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore
from tests.surface.conftest import Cli
from tests.surface.program import LIMIT, Program, programs, until

FIGURES = [
    "enqueue, one by one",
    "enqueue, 1000 at once",
    "run (async tasks that do nothing)",
    "enqueue to start, p50",
    "enqueue to start, p95",
]


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> Cli:
    """The command line with a bench of parts of a second."""
    monkeypatch.setattr(measure, "ONE_SECONDS", 0.05)
    monkeypatch.setattr(measure, "BULK_SECONDS", 0.05)
    return cli


def schemas(url: str) -> list[str]:
    query = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'jobpipe%'"
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(query)]


def test_figures_of_a_temporary_file(brief: Cli) -> None:
    result = brief("bench", "--json").json
    assert [each["name"] for each in result["figures"]] == FIGURES
    assert all(each["value"] > 0 for each in result["figures"])
    assert (result["store"], result["durability"]) == (
        "a temporary SQLite file",
        "synchronous=FULL",
    )
    assert result["cpus"] == len(os.sched_getaffinity(0))
    assert not brief.folder.joinpath("jobpipe.db").exists()


def test_a_file_that_is_named_is_not_touched(brief: Cli) -> None:
    brief.folder.joinpath("jobs.db").write_text("mine", encoding="utf-8")
    before = sorted(brief.folder.iterdir())
    ended = brief("bench", "--url", "sqlite:///jobs.db")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert [line.split("  ")[0] for line in lines[:6]] == ["FIGURE", *FIGURES]
    assert lines[-1] == measure.NOTE
    assert sorted(brief.folder.iterdir()) == before
    assert brief.folder.joinpath("jobs.db").read_text(encoding="utf-8") == "mine"


def test_figures_of_a_server_in_a_schema_of_its_own(brief: Cli, postgres_url: str) -> None:
    result = brief("bench", "--url", postgres_url, "--json").json
    assert [each["name"] for each in result["figures"]] == FIGURES
    assert result["durability"] == "fsync=on, synchronous_commit=on"
    assert schemas(postgres_url) == []


@pytest.fixture
def on_server(tmp_path: Path, postgres_url: str) -> Iterator[Program]:
    yield from programs(tmp_path, postgres_url)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_schema_is_dropped_also_when_the_bench_is_stopped(
    on_server: Program, postgres_url: str, number: signal.Signals, code: int
) -> None:
    running = on_server.start("bench", "--url", postgres_url)
    until(running, "at once ...")
    assert len(schemas(postgres_url)) == 1
    running.send_signal(number)
    running.communicate(timeout=LIMIT)
    assert running.returncode == code
    assert schemas(postgres_url) == []


def test_no_other_schema_can_be_dropped(postgres_url: str) -> None:
    store = PostgresStore(postgres_url, dialect.load("jobpipe"))
    store.migrate()
    with pytest.raises(psycopg.errors.RaiseException, match="no schema of a bench"):
        store.run(drop_bench_schema("jobpipe"))
    store.close()
    assert schemas(postgres_url) == ["jobpipe"]


def test_a_server_that_is_away(cli: Cli) -> None:
    ended = cli("bench", "--url", "postgresql://me:s3cret@127.0.0.1:1/x", "--json")
    assert (ended.code, ended.out) == (75, "")
    assert "s3cret" not in ended.err
    assert json.dumps(ended.err).count("Error:") == 1
