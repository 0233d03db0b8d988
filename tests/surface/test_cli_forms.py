"""Every verb in every surrounding: a pipe, narrow terminals, with and without colour, no locale.

One process a surrounding runs all the verbs, one after another, as ``main`` would; thirty calls
and a worker take some seconds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.surface.program import LIMIT, Program, on_a_terminal, programs

TABLES = [
    "job list",
    "queue list",
    "task list",
    "config show --origin",
    "doctor",
    "top --once --every 0.1",
]
CALLS = {
    **dict.fromkeys([*TABLES, "worker-list", "job show 1", "job show 2", "job logs 2"], 0),
    "job watch 1 --json": 0,
    "enqueue app.fail text=漢😀": 0,
    "enqueue app.nope": 4,
    "job cancel 3": 0,
    "job rerun 1": 0,
    "job delete 2 --dry-run": 0,
    "queue pause late --reason 漢": 0,
    "queue resume late": 0,
    "db migrate": 0,
    "db status": 0,
    "db check": 0,
    "db sql": 0,
    "health": 0,
    "completion bash": 0,
    "init new": 0,
    "job list --json": 0,
    "job list -o jsonl": 0,
    "job show 1 --json": 0,
    "top --every 0.1 --json": 0,
    "doctor --json": 0,
    "nonsense": 2,
    "--help": 0,
    "job list --help": 0,
}
"""Calls and their exit codes, in this order."""

DRIVER = """
import json, shlex, sys
from jobpipe.cli.main import main
codes = {}
for call in json.loads(sys.argv[1]):
    if sys.stdout is not None:
        print(f"=== {call.encode('ascii', 'replace').decode()}", flush=True)
    try:
        main(shlex.split(call))
    except SystemExit as end:
        codes[call] = end.code
with open("codes.json", "w") as file:
    json.dump(codes, file)
"""

NO_LOCALE = {"LC_ALL": "C", "LANG": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def program(tmp_path: Path, sqlite_url: str) -> Iterator[Program]:
    """A folder in which a worker is known to the store, some jobs have ended and some wait."""
    for program in programs(tmp_path, sqlite_url):
        program.folder.joinpath("driver.py").write_text(DRIVER, encoding="utf-8")
        calls = ["enqueue app.add a=1", "enqueue app.fail text=漢😀", "enqueue app.add a=2 --in 1h"]
        driven(program, calls)
        program("worker", "--burst")
        yield program


def command(calls: list[str]) -> list[str]:
    return [sys.executable, "driver.py", json.dumps(calls)]


def driven(program: Program, calls: list[str], **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run the calls in a pipe."""
    return subprocess.run(
        command(calls),
        cwd=program.folder,
        env=program.env | env,
        capture_output=True,
        timeout=LIMIT,
        check=True,
    )


def codes(program: Program) -> dict[str, int]:
    found: dict[str, int] = json.loads(program.folder.joinpath("codes.json").read_text())
    return found


def calm(program: Program) -> dict[str, int]:
    """The expected codes; jobs wait and no worker lives, so the doctor finds an error."""
    return {
        call: 0 if not call.startswith("doctor") else codes(program)[call] for call in CALLS
    } | {call: code for call, code in CALLS.items() if code}


def by_call(text: str) -> dict[str, list[str]]:
    parts = re.split(r"^=== (.*)$", text.replace("\r\n", "\n"), flags=re.MULTILINE)
    return {call: out.splitlines() for call, out in zip(parts[1::2], parts[2::2], strict=True)}


def test_a_pipe(program: Program) -> None:
    done = driven(program, list(CALLS))
    assert codes(program) == calm(program)
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"Traceback (most" not in done.stderr


def test_a_pipe_with_colour_forced(program: Program) -> None:
    done = driven(program, TABLES, FORCE_COLOR="1")
    shown = by_call(done.stdout.decode())
    assert [call for call in TABLES if not COLOUR.search("\n".join(shown[call]))] == []


def test_no_locale(program: Program) -> None:
    done = driven(program, list(CALLS), **NO_LOCALE)
    assert codes(program) == calm(program)
    assert b"Traceback (most" not in done.stderr
    shown = by_call(done.stdout.decode())
    assert re.search(r"漢|\\u6f22", "\n".join(shown["job show 2"]))
    assert json.loads("\n".join(shown["job list --json"]))["items"]


def test_standard_output_that_is_closed(program: Program) -> None:
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" >&-', "bash", *command(list(CALLS))],
        cwd=program.folder,
        env=program.env,
        stderr=subprocess.PIPE,
        timeout=LIMIT,
        check=True,
    )
    assert codes(program) == calm(program)
    assert b"Traceback (most" not in done.stderr


@pytest.mark.parametrize("columns", [40, 80])
def test_narrow_terminals(program: Program, columns: int) -> None:
    env = program.env | {"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color"}
    shown = by_call(on_a_terminal(command(TABLES), program.folder, env))
    assert set(codes(program).values()) <= {0, 3}
    for call in TABLES:
        lines = [COLOUR.sub("", line) for line in shown[call]]
        assert max(map(len, lines)) <= columns, call
        assert COLOUR.search("\n".join(shown[call])), call


def test_a_terminal_without_colour(program: Program) -> None:
    env = program.env | {"NO_COLOR": "1", "COLUMNS": "80", "TERM": "xterm-256color"}
    text = on_a_terminal(command(list(CALLS)), program.folder, env)
    assert codes(program) == calm(program)
    assert "\x1b" not in text
