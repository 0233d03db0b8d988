"""The command as a process: signals, pipes, terminals, both stores."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.surface.program import COMMAND, LIMIT, Program, programs, until


@pytest.fixture
def on_sqlite(tmp_path: Path, sqlite_url: str) -> Iterator[Program]:
    yield from programs(tmp_path, sqlite_url)


@pytest.fixture(params=["sqlite", "postgres"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    yield from programs(tmp_path, request.getfixturevalue(f"{request.param}_url"))


def test_a_worker_runs_what_others_ask_for_and_ends_at_a_signal(program: Program) -> None:
    worker = program.start("worker", "app:jp", "-q", "mail:2,default", "-c", "3", "--name", "w1")
    until(worker, "Jobpipe worker: 3 tasks, store ")
    until(worker, "started")
    done = program("enqueue", "app.add", "a=1", "b=2", "--wait", "--wait-timeout", "20")
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    failed = program("enqueue", "app.fail", "text=no", "--wait", "--wait-timeout", "20", "--json")
    assert (failed.returncode, json.loads(failed.stdout)["state"]) == (10, "failed")
    listed = json.loads(program("worker-list", "--json").stdout)["items"]
    assert [(each["name"], each["slots"]) for each in listed] == [("w1", 3)]
    shown = json.loads(program("job", "show", "2", "--json").stdout)
    assert [each["worker"] for each in shown["attempts"]] == ["w1"]
    worker.send_signal(signal.SIGTERM)
    out, _ = worker.communicate(timeout=LIMIT)
    assert (worker.returncode, out) == (0, "")
    assert json.loads(program("worker-list", "--json").stdout)["items"] == []


def test_a_burst_ends_by_itself(program: Program) -> None:
    for number in range(3):
        assert program("enqueue", "app.add", f"a={number}").returncode == 0
    ended = program("worker", "--burst")
    assert (ended.returncode, ended.stdout) == (0, "")
    lines = program("job", "list", "-s", "succeeded", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["result"] for line in lines] == [3, 2, 1]
    assert program("db", "check").stdout == "ok\n"
    assert program("health").returncode == 0


def test_ctrl_c_stops_the_wait_and_not_the_job(on_sqlite: Program) -> None:
    waiting = on_sqlite.start("enqueue", "app.add", "a=1", "--wait")
    until(waiting, "Job 1 is queued; waiting for its end.")
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=LIMIT)
    assert (waiting.returncode, out) == (130, "")
    assert err == "Job 1 goes on: jobpipe job show 1\nInterrupted.\n"
    assert json.loads(on_sqlite("job", "show", "1", "--json").stdout)["state"] == "queued"


def test_a_pipe_that_is_closed_early_is_no_error(on_sqlite: Program) -> None:
    on_sqlite("enqueue", "app.add", "a=1")
    for words in (["job", "list"], ["job", "show", "1", "--json"], ["config", "show"]):
        reader, writer = os.pipe()
        os.close(reader)
        with subprocess.Popen(
            [*COMMAND, *words],
            cwd=on_sqlite.folder,
            env=on_sqlite.env,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.close(writer)
            _, err = process.communicate(timeout=LIMIT)
        assert (process.returncode, err) == (141, "")


def test_an_output_that_cannot_be_written_is_told(on_sqlite: Program) -> None:
    def told(redirect: str) -> tuple[int, str]:
        line = f"{shlex.quote(sys.executable)} -m jobpipe config show {redirect}"
        ended = subprocess.run(
            ["bash", "-c", line],
            cwd=on_sqlite.folder,
            env=on_sqlite.env,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return ended.returncode, ended.stderr

    code, err = told("> /dev/full")
    assert (code, err.count("\n")) == (1, 1)
    assert "No space left on device" in err
    assert told(">&-") == (0, "")


def test_a_terminal_gets_a_table_in_colour(on_sqlite: Program) -> None:
    on_sqlite("enqueue", "app.add", "a=1")
    coloured = on_sqlite.on_terminal("job", "list")
    assert "\x1b[34mqueued" in coloured
    assert "s ago" in coloured
    for plain in (
        on_sqlite.on_terminal("job", "list", "--no-color"),
        on_sqlite.on_terminal("job", "list", env={"NO_COLOR": "1"}),
    ):
        assert "\x1b" not in plain
        assert "s ago" in plain
    assert on_sqlite.on_terminal("health", "--no-color").startswith("ok  sqlite:///")
    assert "\x1b" not in on_sqlite.on_terminal("job", "show", "1", "--json")


def test_a_pipe_gets_colour_only_when_it_is_forced(on_sqlite: Program) -> None:
    on_sqlite("enqueue", "app.add", "a=1")
    assert "\x1b" not in on_sqlite("job", "list").stdout
    assert "\x1b" in on_sqlite("job", "list", FORCE_COLOR="1").stdout
    assert "\x1b" not in on_sqlite("job", "list", "--no-color", FORCE_COLOR="1").stdout


def test_a_narrow_locale_breaks_no_output(on_sqlite: Program) -> None:
    narrow = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    on_sqlite("enqueue", "app.fail", "text=漢😀")
    assert "\\u6f22\\U0001f600" in on_sqlite("job", "show", "1", **narrow).stdout
    shown = json.loads(on_sqlite("job", "show", "1", "--json", **narrow).stdout)
    assert shown["args"] == {"text": "漢😀"}


def test_the_greeting_of_a_worker_hides_the_password(on_sqlite: Program) -> None:
    ended = on_sqlite("worker", "--url", "postgresql://me:s3cret@127.0.0.1:1/jobs")
    assert ended.returncode == 75
    assert "store postgresql://me:***@127.0.0.1:1/jobs, queues *, 10 slots" in ended.stderr
    assert "s3cret" not in ended.stderr
