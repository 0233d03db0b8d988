"""``job logs`` and ``job watch``: what a job has said, and what it says while it runs."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.surface.conftest import Cli
from tests.surface.program import LIMIT, Program, programs, until

APP = """
import logging
import os
import pathlib
import signal
import time

from jobpipe import Jobpipe, current_job

jp = Jobpipe()
log = logging.getLogger("shop")


@jp.task
def say(lines: int) -> None:
    job = current_job()
    for n in job.track(range(lines), note="saying"):
        job.log("line %s", n, where="\\x1b[31m")
        log.info("by the way")


@jp.task(max_attempts=2, retry_delays=(0,))
def fail() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("attempt %s", current_job().attempt)
        raise


@jp.task
def wait_for_a_file() -> None:
    job = current_job()
    job.progress(1, 4, "waiting")
    log.info("it waits")
    logging.getLogger("other").debug("too fine")
    while not job.cancel_requested() and not pathlib.Path("go").exists():
        time.sleep(0.01)
    job.progress(4, 4)
    log.warning("it goes on")


@jp.task(max_attempts=3)
def die_once() -> str:
    job = current_job()
    if job.state is None:
        job.state = "half"
        for line in ("one", "two"):     # when the second is there, the state is
            job.log(line)
            while line not in [each.message for each in jp.logs(job.id)]:
                time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return job.state
"""


@pytest.fixture
def said(cli: Cli) -> Cli:
    """A store with a job that has said six lines, and one that failed twice."""
    cli.folder.joinpath("app.py").write_text(APP, encoding="utf-8")
    for words in (["app.say", "lines=3"], ["app.fail"]):
        assert cli("enqueue", *words).code == 0
    cli.worked()
    return cli


@pytest.fixture(params=["sqlite", "postgres"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    for made in programs(tmp_path, request.getfixturevalue(f"{request.param}_url")):
        tmp_path.joinpath("app.py").write_text(APP, encoding="utf-8")
        yield made


def test_a_log_is_a_line_a_line_and_acts_on_no_terminal(said: Cli) -> None:
    ended = said("job", "logs", "1")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert [re.sub(r"^\S+Z ", "", line) for line in lines if "line" in line] == [
        f"info app.say: line {n} where=\\x1b[31m" for n in range(3)
    ]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z info", lines[0])


def test_a_traceback_stands_below_its_line_and_attempts_are_told_apart(said: Cli) -> None:
    ended = said("job", "logs", "2")
    lines = ended.out.splitlines()
    assert lines[0].endswith(" error shop: attempt 1")
    assert lines[1] == "  Traceback (most recent call last):"
    assert "  ValueError: no" in lines
    assert ended.err == "-- attempt 2 --\n"
    only = said("job", "logs", "2", "--attempt", "2")
    assert [line for line in only.out.splitlines() if "attempt" in line] == [
        line for line in lines if "attempt 2" in line
    ]
    assert said("job", "logs", "2", "--attempt", "7").err == "No lines.\n"


def test_a_log_in_json_is_what_programs_read(said: Cli) -> None:
    first = said("job", "logs", "1", "-o", "json").json
    assert first["next_cursor"] is None
    line = dict(first["items"][0])
    assert re.fullmatch(r"\d{4}-.*Z", line.pop("time"))
    assert line == {
        "job_id": 1,
        "attempt": 1,
        "token": 1,
        "number": 1,
        "level": "info",
        "logger": "app.say",
        "message": "line 0",
        "fields": {"where": "\x1b[31m"},
    }
    last = said("job", "logs", "1", "--tail", "1", "-o", "jsonl").json
    assert last == first["items"][-1]
    failed = [json.loads(text) for text in said("job", "logs", "2", "-o", "jsonl").out.splitlines()]
    assert [(each["attempt"], each["fields"]["error"]["type"]) for each in failed] == [
        (1, "ValueError"),
        (2, "ValueError"),
    ]


def test_following_a_job_that_has_ended_ends_with_its_end(said: Cli) -> None:
    assert said("job", "logs", "1", "-f").code == 0
    assert said("job", "logs", "2", "-f").code == 10
    assert said("job", "watch", "2").code == 10
    id = said("enqueue", "app.say", "lines=1").out.strip()
    assert said("job", "cancel", id).code == 0
    for verb in (["logs", "-f"], ["watch"]):
        assert said("job", *verb, id).code == 11
        assert said("job", *verb, "999").code == 4
    assert said("job", "logs", "1", "-f", "-o", "json").code == 2


def test_watching_tells_state_progress_and_the_last_line(said: Cli) -> None:
    ended = said("job", "watch", "1")
    bar = "#" * 24
    assert ended.out == f"succeeded  attempt 1/5  [{bar}] 100%  3/3  saying  info: by the way\n"
    sight = said("job", "watch", "1", "-o", "jsonl").json
    assert (sight["state"], sight["progress"]) == (
        "succeeded",
        {"done": 3, "total": 3, "note": "saying"},
    )
    assert sight["last_line"]["message"] == "by the way"
    assert said("job", "watch", "1", "-o", "json").json == sight


def test_watching_a_job_that_has_failed_tells_its_error(said: Cli) -> None:
    ended = said("job", "watch", "2")
    assert ended.out.startswith("failed (attempts_exhausted)  attempt 2/2  ")
    assert ended.out.endswith("  ValueError: no\n")


def test_a_running_job_is_followed_to_its_end(program: Program) -> None:
    program("enqueue", "app.wait_for_a_file")
    worker = program.start("worker", "app:jp", "--burst", "--log-format", "text")
    logs = program.start("job", "logs", "1", "-f", "-o", "jsonl")
    watch = program.start("job", "watch", "1", "-o", "jsonl")
    assert logs.stdout is not None
    assert watch.stdout is not None
    assert json.loads(logs.stdout.readline())["message"] == "it waits"
    for line in watch.stdout:
        if json.loads(line)["progress"] == {"done": 1, "total": 4, "note": "waiting"}:
            break
    until(worker, "info shop: it waits job=1 attempt=1")
    program.folder.joinpath("go").touch()
    rest, _ = logs.communicate(timeout=LIMIT)
    assert ([json.loads(line)["message"] for line in rest.splitlines()], logs.returncode) == (
        ["it goes on"],
        0,
    )
    seen, _ = watch.communicate(timeout=LIMIT)
    end = json.loads(seen.splitlines()[-1])
    assert (end["state"], end["progress"]["done"], watch.returncode) == ("succeeded", 4, 0)
    _, told = worker.communicate(timeout=LIMIT)
    assert "warning shop: it goes on job=1 attempt=1" in told
    assert "too fine" not in told


@pytest.mark.parametrize("verb", [["logs", "-f"], ["watch"]])
def test_ctrl_c_ends_following_and_leaves_the_job(program: Program, verb: list[str]) -> None:
    program("enqueue", "app.wait_for_a_file")
    worker = program.start("worker", "app:jp")
    following = program.start("job", *verb, "1")
    assert following.stdout is not None
    while "it waits" not in following.stdout.readline():
        continue
    following.send_signal(signal.SIGINT)
    _, told = following.communicate(timeout=LIMIT)
    assert (following.returncode, told) == (130, "Interrupted.\n")
    assert json.loads(program("job", "show", "1", "--json").stdout)["state"] == "running"
    program.folder.joinpath("go").touch()
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=LIMIT)


def test_on_a_terminal_one_line_changes(program: Program) -> None:
    program("enqueue", "app.say", "lines=2")
    program("worker", "app:jp", "--burst")
    shown = program.on_terminal("job", "watch", "1")
    assert "succeeded" in shown
    assert "\x1b[?25h" in shown  # the cursor is there again
    narrow = program.on_terminal("job", "watch", "1", env={"COLUMNS": "20", "NO_COLOR": "1"})
    assert "succeeded  attempt" in narrow


def test_the_state_and_the_lines_outlive_a_killed_process(program: Program) -> None:
    program("enqueue", "app.die_once")
    worker = program.start("worker", "app:jp", "--retry-delays", "0", "--poll-seconds", "0.2")
    followed = program("job", "logs", "1", "-f", "-o", "jsonl")
    lines = [json.loads(line) for line in followed.stdout.splitlines()]
    assert ([line["message"] for line in lines], followed.returncode) == (["one", "two"], 0)
    assert json.loads(program("job", "show", "1", "--json").stdout)["result"] == "half"
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=LIMIT)
