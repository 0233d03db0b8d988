"""``jobpipe doctor`` on stores that really have what it tells."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobpipe.app import diagnosis
from jobpipe.policy import store_health, work_health
from jobpipe.store.postgres import schema
from tests.surface.conftest import Cli, Ended
from tests.surface.program import Program, programs, until

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def found(ended: Ended) -> dict[str, dict[str, Any]]:
    """Return the findings by code, without those that are well."""
    findings = ended.json["findings"]
    return {each["code"]: each for each in findings if each["severity"] != "ok"}


def severities(ended: Ended) -> dict[str, str]:
    known = {"sqlite_wal_reset", "no_timeout"}  # they depend on this Python, or stand in the app
    return {code: each["severity"] for code, each in found(ended).items() if code not in known}


def test_every_code_stands_in_the_docs() -> None:
    root = Path(__file__).parents[2]
    files = [diagnosis, store_health, work_health]
    texts = [Path(str(each.__file__)).read_text(encoding="utf-8") for each in files]
    given = set(re.findall(r"\b(?:ok|warning|error)\(\s*\"(\w+)\"", "".join(texts)))
    given |= {"unknown_task", "incompatible", "undecodable"}  # the reasons of parked jobs
    page = root.joinpath("docs", "cli.md").read_text(encoding="utf-8")
    table = page.partition("## What `doctor` finds")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == given


def test_a_store_that_is_well(cli: Cli) -> None:
    cli("db", "migrate")
    ended = cli("doctor", "--json")
    assert (ended.code, ended.json["ok"], severities(ended)) == (0, True, {})
    assert ended.json["findings"][0]["code"] == "store"


def test_looking_makes_no_file_and_no_schema(cli: Cli) -> None:
    ended = cli("doctor", "--json")
    assert (ended.code, severities(ended)) == (0, {"schema_missing": "warning"})
    assert not cli.folder.joinpath("jobpipe.db").exists()


def test_the_application_may_be_named_after_the_verb(cli: Cli) -> None:
    ended = cli("--app", "none", "doctor", "--json")
    assert "no_timeout" not in found(ended)
    ended = cli("doctor", "app:jp", "--json")
    assert (
        "3 tasks without a time-out (app.add, app.fail, evil" in found(ended)["no_timeout"]["what"]
    )
    assert "no_timeout" not in found(cli("doctor", "app:jp", "--timeout", "60", "--json"))
    assert cli("--app", "other:jp", "doctor", "app:jp").code == 2


def test_a_schema_that_is_not_whole(cli: Cli) -> None:
    cli("db", "migrate")
    with closing(sqlite3.connect(cli.folder / "jobpipe.db")) as file:
        file.execute("DROP TRIGGER jobpipe_job_look")
    ended = cli("doctor", "--json")
    assert (ended.code, severities(ended)) == (3, {"schema_damaged": "error"})
    assert found(ended)["schema_damaged"]["what"] == (
        "The schema is not as it was made: the trigger jobpipe_job_look is missing, or switched"
        " off."
    )


def test_a_store_that_is_away(cli: Cli) -> None:
    ended = cli("doctor", "--app", "none", "--url", "postgresql://me:s3cret@127.0.0.1:1/x")
    assert (ended.code, ended.err) == (75, "")
    assert ended.out.startswith("error  store_unreachable\n")
    assert "s3cret" not in ended.out


def test_a_file_that_is_no_database(cli: Cli) -> None:
    cli.folder.joinpath("other.db").write_text("this is no database " * 100, encoding="utf-8")
    ended = cli("doctor", "--url", "sqlite:///other.db", "--json")
    assert (ended.code, severities(ended)) == (3, {"store_unusable": "error"})


def test_jobs_that_nobody_runs(cli: Cli) -> None:
    cli("enqueue", "app.add", "a=1")
    ended = cli("doctor", "--json")
    assert (ended.code, severities(ended)) == (3, {"no_workers": "error"})
    cli("queue", "pause", "default")
    assert "queue_paused" in severities(cli("doctor", "--json"))


def test_jobs_of_tasks_that_the_application_lacks(cli: Cli) -> None:
    cli("enqueue", "app.add", "a=1")
    with closing(sqlite3.connect("jobpipe.db")) as file, file:
        file.execute("UPDATE jobpipe_job SET task = 'app.gone'")
    assert severities(cli("doctor", "--json")) == {
        "no_workers": "error",
        "task_missing": "warning",
    }
    cli.worked()
    ended = cli("doctor", "--json")
    assert severities(ended) == {"unknown_task": "warning"}
    assert "1 job of app.gone parked" in found(ended)["unknown_task"]["what"]


@contextmanager
def lock_held(database: str) -> Iterator[subprocess.Popen[str]]:
    """Keep the write lock of a file in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, database],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_a_held_write_lock_is_told_with_the_process_that_holds_it(cli: Cli) -> None:
    cli("db", "migrate")
    with lock_held("jobpipe.db") as holder:
        ended = cli("doctor", "--json")
        assert (ended.code, severities(ended)) == (3, {"write_lock_held": "error"})
        assert f"process {holder.pid} holds it" in found(ended)["write_lock_held"]["what"]
        os.kill(holder.pid, signal.SIGSTOP)
        os.waitpid(holder.pid, os.WUNTRACED)
        ended = cli("doctor", "--json")
        assert f"kill -CONT {holder.pid}" in found(ended)["write_lock_held"]["fix"]


@pytest.fixture
def server(cli: Cli, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database whose schema is up to date, as the store of the settings."""
    monkeypatch.setenv("JOBPIPE_URL", postgres_url)
    assert cli("db", "migrate").code == 0
    return postgres_url


def test_a_server_that_is_well(cli: Cli, server: str) -> None:
    ended = cli("doctor", "--json")
    assert (ended.code, severities(ended)) == (0, {})
    assert ended.json["findings"][0]["what"].startswith("PostgreSQL 1")


def test_a_schema_of_a_server_that_is_not_whole(cli: Cli, server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER TABLE jobpipe.job DISABLE TRIGGER job_look")
    ended = cli("doctor", "--json")
    assert (ended.code, severities(ended)) == (3, {"schema_damaged": "error"})
    assert (
        "the trigger job_look is missing, or switched off" in found(ended)["schema_damaged"]["what"]
    )


def test_a_pinned_snapshot(cli: Cli, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pinned_snapshot" not in found(cli("doctor", "--json"))
    monkeypatch.setattr(store_health, "OLD_SNAPSHOT_US", 0)
    with psycopg.connect(server, application_name="report") as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("SELECT 1")
        finding = found(cli("doctor", "--json"))["pinned_snapshot"]
        pid = holder.info.backend_pid
    assert f"The session {pid} (report) of " in finding["what"]
    assert f"pg_terminate_backend({pid})" in finding["fix"]


def test_a_table_without_autovacuum(cli: Cli, server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER TABLE jobpipe.job SET (autovacuum_enabled = off)")
    finding = found(cli("doctor", "--json"))["autovacuum_off"]
    assert finding["what"].startswith("Autovacuum is switched off for job, ")


def test_a_table_that_is_locked_holds_nobody_up(
    cli: Cli, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "LIMIT_MS", 50)
    monkeypatch.setattr(schema, "LIMIT_MS", 50)
    with psycopg.connect(server) as holder:
        holder.execute("LOCK TABLE jobpipe.job IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        ended = cli("doctor", "--json")
        assert time.monotonic() - begun < 5
    assert "made the statement wait too long" in found(ended)["not_seen"]["what"]


def test_a_schema_that_is_locked_holds_nobody_up(
    cli: Cli, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "LIMIT_MS", 50)
    with psycopg.connect(server) as holder:
        holder.execute("LOCK TABLE jobpipe.migration IN ACCESS EXCLUSIVE MODE")
        ended = cli("doctor", "--json")
    assert ended.code == 75
    assert "made the statement wait too long" in found(ended)["store_unreachable"]["what"]


def test_what_this_user_may_not_see_is_said(cli: Cli, server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE ROLE doctor_guest LOGIN")
        try:
            connection.execute("GRANT USAGE ON SCHEMA jobpipe TO doctor_guest")
            connection.execute("GRANT SELECT ON jobpipe.migration TO doctor_guest")
            host, port, name = (
                connection.info.host,
                connection.info.port,
                connection.info.dbname,
            )
            ended = cli(
                "doctor", "--json", "--url", f"postgresql://doctor_guest@{host}:{port}/{name}"
            )
        finally:
            connection.execute("DROP OWNED BY doctor_guest")
            connection.execute("DROP ROLE doctor_guest")
    assert {"not_seen", "not_all_seen"} <= {*found(ended)}
    assert "permission denied" in found(ended)["not_seen"]["what"]


def test_workers_behind_a_pooler_without_a_way_to_listen(
    cli: Cli, pgbouncer_url: tuple[str, str]
) -> None:
    pooled, direct = pgbouncer_url
    words = ["--app", "none", "--url", pooled, "--pooler", "transaction"]
    assert cli("db", "migrate", *words).code == 0
    assert severities(cli("doctor", "--json", *words))["no_listen_url"] == "warning"
    assert "no_listen_url" not in severities(
        cli("doctor", "--json", *words, "--listen-url", direct)
    )


@pytest.fixture(params=["sqlite", "postgres"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    yield from programs(tmp_path, request.getfixturevalue(f"{request.param}_url"))


def test_a_worker_that_lives_is_told_and_one_that_takes_other_queues_is_not_enough(
    program: Program,
) -> None:
    """Starts a real worker and asks as other processes."""
    until(program.start("worker", "app:jp", "-q", "mail", "-c", "3"), "started")
    ended = program("doctor", "--json")
    findings = {each["code"]: each for each in json.loads(ended.stdout)["findings"]}
    assert (ended.returncode, findings["workers"]["what"]) == (0, "1 worker, 3 slots, 0 in use.")
    program("enqueue", "app.add", "a=1")
    ended = program("doctor", "--json")
    findings = {each["code"]: each for each in json.loads(ended.stdout)["findings"]}
    assert ended.returncode == 3
    assert [code for code, each in findings.items() if each["severity"] == "error"] == [
        "queue_untaken"
    ]
