"""Commands: what they are given, how they end, what of their output is kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from jobpipe import Job, Jobpipe, Limits, Reason, State
from jobpipe.errors import InvalidArguments, JobCancelled, JobFailed
from tests.conformance.app.site import Site
from tests.waiting import is_alive, until

# What runs in a process of its own is the same on every store: two drivers show that it is wired.
pytestmark = pytest.mark.parametrize("site", ["sqlite-sync", "postgresql-async"], indirect=True)

HOSTILE = [
    "",
    " ",
    "a b",
    "$(id)",
    "`id`",
    ";id",
    "'\"",
    "*",
    "-n",
    "--",
    "{x}",
    "\n",
    "\\",
    "\u00e9",
]


def python(*code: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(code).replace("{", "{{").replace("}", "}}")]


def logged(site: Site, jp: Jobpipe, job: Job[Any]) -> list[tuple[int, str, str]]:
    return [(line.level, line.logger, line.message) for line in site.do(jp, "logs", job.id)]


def test_what_is_filled_in_stays_one_argument(site: Site, jp: Jobpipe) -> None:
    show = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"]
    tell = jp.command("tell", [*show, "{one}", "<{one}|{n}>", "{{}}", "{all...}"])
    assert tell("x", n=2, all=["y"])[3:] == ["x", "<x|2>", "{}", "y"]
    with site.running(jp):
        jobs = [site.enqueue(tell, one=each, n=7, all=[*HOSTILE, True, 2]) for each in HOSTILE]
        for each, job in zip(HOSTILE, jobs, strict=True):
            given = [each, f"<{each}|7>", "{}", *HOSTILE, "true", "2"]
            expected = "[" + ", ".join(_json(text) for text in given) + "]\n"
            assert site.result(job) == {"exit_code": 0, "stdout": expected, "stderr": ""}


def _json(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.replace("\u00e9", "\\u00e9")


def test_arguments_that_no_program_can_take_are_refused(jp: Jobpipe) -> None:
    echo = jp.command("echo", ["echo", "{text}", "{more...}"])
    with pytest.raises(InvalidArguments, match="NUL"):
        echo.call(text="a\0b", more=[])
    with pytest.raises(InvalidArguments, match="NUL"):
        echo.call(text="a", more=["\0"])
    with pytest.raises(InvalidArguments, match="text"):
        echo.call(text=["a"], more=[])
    with pytest.raises(InvalidArguments, match="more"):
        echo.call(text="a")


def test_how_a_command_ends_decides(site: Site, jp: Jobpipe) -> None:
    leave = jp.command("leave", ["sh", "-c", "echo why >&2; exit $0", "{code}"], max_attempts=2)
    spare = jp.command("spare", ["sh", "-c", "exit $0", "{code}"], ok_codes=(0, 3))
    die = jp.command("die", ["sh", "-c", "kill -9 $$"], max_attempts=1)
    jobs = [site.enqueue(leave, 3), site.enqueue(die)]
    fine = [site.enqueue(leave, 0), site.enqueue(spare, 3)]
    site.drain(jp)
    assert [site.result(job)["exit_code"] for job in fine] == [0, 3]
    assert [(site.seen(job).reason, site.seen(job).attempt) for job in jobs] == [
        (Reason.ATTEMPTS_EXHAUSTED, 2),
        (Reason.ATTEMPTS_EXHAUSTED, 1),
    ]
    errors = [job.error or {} for job in jobs]
    assert [error["type"] for error in errors] == ["CommandFailed"] * 2
    assert errors[0]["message"] == "exited with code 3"
    assert errors[0]["traceback"].endswith("It wrote last:\nwhy\n\n")
    assert errors[1]["message"] == "killed by signal 9 (SIGKILL)"


def test_what_cannot_be_run_is_not_tried_again(site: Site, jp: Jobpipe, tmp_path: Path) -> None:
    no_program = tmp_path / "no_program"
    no_program.write_bytes(b"\x7fELF, but not really")
    no_program.chmod(0o755)
    found = {
        "there is no program 'no-such-program'": jp.command("none", ["no-such-program"]),
        "there is no directory": jp.command("nowhere", ["true"], cwd=tmp_path / "none"),
        "Exec format error": jp.command("noise", [str(no_program)]),
    }
    jobs = {message: site.enqueue(task) for message, task in found.items()}
    site.drain(jp)
    for message, job in jobs.items():
        assert (site.seen(job).reason, site.seen(job).attempt) == (Reason.FATAL, 1)
        assert message in (job.error or {})["message"]


def test_output_becomes_the_log_and_its_end_the_result(site: Site, jp: Jobpipe) -> None:
    talk = jp.command("talk", ["sh", "-c", "echo out; echo err >&2; printf '\\377 \\000 end'"])
    flood = jp.command(
        "flood", python("print('x' * 99 + '\\n' * 1, end='') ", "print('y' * 10**8)")
    )
    with site.running(jp):
        job, large = site.enqueue(talk), site.enqueue(flood)
        assert site.result(job)["stdout"] == "out\n\\xff \\x00 end"
        result = site.result(large)
    assert sorted(logged(site, jp, job)) == [
        (20, "stdout", "\\xff \\x00 end"),
        (20, "stdout", "out"),
        (30, "stderr", "err"),
    ]
    assert (len(result["stdout"]), result["stdout"][-2:]) == (16 * 1024, "y\n")
    assert sum(len(message) for _, _, message in logged(site, jp, large)) < 2_000_000


def test_a_command_knows_little_of_its_worker(
    site: Site, jp: Jobpipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "secret")
    monkeypatch.setenv("OF_THE_USER", "not asked for")
    monkeypatch.setenv("LC_TIME", "C")
    look = jp.command(
        "look",
        # No pipe behind `ls`: the shell would hold one for a moment while `ls` looks.
        ["sh", "-c", "env | sort; pwd; ls /proc/$$/fd; cat"],
        cwd=tmp_path,
        env={"OWN": "given"},
        stdin="text",
    )
    with site.running(jp):
        told = site.result(site.enqueue(look, text="from\nthe job"))["stdout"]
    assert "OWN=given\n" in told
    assert "LC_TIME=C\n" in told
    assert "DATABASE_URL" not in told
    assert "OF_THE_USER" not in told
    assert f"\n{tmp_path}\n" in told
    assert told.endswith("\n0\n1\n2\nfrom\nthe job")


@pytest.mark.parametrize("why", ["cancel", "timeout"])
def test_the_whole_group_of_a_command_is_ended(
    site: Site, jp: Jobpipe, tmp_path: Path, why: str
) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; wait; wait"
    task = jp.command("sleep", ["sh", "-c", script], max_attempts=1)
    with site.running(jp, concurrency=1):
        job = site.enqueue(task.using(timeout=0.5 if why == "timeout" else None))
        until(lambda: pids.exists() and pids.read_text())
        if why == "cancel":
            site.do(job, "cancel")
        with pytest.raises(JobCancelled if why == "cancel" else JobFailed):
            site.result(job)
        for pid in pids.read_text().split():
            until(lambda pid=int(pid): not is_alive(pid))
        assert site.result(site.enqueue(jp.command("true", ["true"])))["exit_code"] == 0


def test_a_worker_that_stops_ends_its_commands(site: Site, jp: Jobpipe, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    task = jp.command("sleep", ["sh", "-c", f"echo $$ > {pid}; exec sleep 60"])
    with site.running(jp, shutdown_seconds=0):
        job = site.enqueue(task)
        until(lambda: pid.exists() and pid.read_text())
    assert (site.seen(job).state, site.seen(job).attempt) == (State.QUEUED, 0)
    assert not is_alive(int(pid.read_text()))


def test_limits_bind_a_command(site: Site, jp: Jobpipe) -> None:
    eat = jp.command(
        "eat", python("bytearray(2**30)"), limits=Limits(memory_mb=256), max_attempts=1
    )
    burn = jp.command(
        "burn", python("while 1: pass"), limits=Limits(cpu_seconds=0.5), max_attempts=1
    )
    with site.running(jp):
        jobs = [site.enqueue(eat), site.enqueue(burn)]
        for job in jobs:
            with pytest.raises(JobFailed):
                site.result(job)
    assert "MemoryError" in (site.seen(jobs[0]).error or "")
    assert "SIGXCPU" in (site.seen(jobs[1]).error or "")
