"""``jobpipe completion``: shells get the names of tasks and queues and the ids of jobs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.surface.program import COMMAND, LIMIT, Program, programs

BASH = """
eval "$(jobpipe completion bash)"
COMP_WORDS=({words}); COMP_CWORD={place}
_jobpipe_completion jobpipe
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def program(tmp_path: Path, sqlite_url: str) -> Iterator[Program]:
    """A folder with an application, whose store holds two jobs in other queues."""
    for program in programs(tmp_path, sqlite_url):
        program("enqueue", "app.add", "a=1", "-q", "nightly")
        program("enqueue", "app.fail", "text=x", "-q", "weekly")
        yield program


def offered(program: Program, shell: str, *words: str, **env: str) -> list[str]:
    """Ask as the shell's script does; the last word is the one to complete."""
    line = " ".join(["jobpipe", *words])
    asked = {"_JOBPIPE_COMPLETE": f"{shell}_complete", "COMP_WORDS": line}
    place = words[-1] if shell == "fish" else str(len(words))
    done = subprocess.run(
        COMMAND,
        cwd=program.folder,
        env=program.env | asked | {"COMP_CWORD": place} | env,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


def in_bash(program: Program, *words: str) -> list[str]:
    """Load the script into a real bash and let it complete the last word."""
    quoted = " ".join(f"'{word}'" for word in ["jobpipe", *words])
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(words=quoted, place=len(words))],
        cwd=program.folder,
        env=program.env | {"PATH": f"{Path(sys.executable).parent}:{program.env['PATH']}"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_completes_verbs_tasks_queues_and_jobs(program: Program) -> None:
    assert in_bash(program, "do") == ["doctor"]
    assert in_bash(program, "enqueue", "app.") == ["app.add", "app.fail"]
    assert in_bash(program, "queue", "pause", "") == ["default", "mail", "nightly", "weekly"]
    assert in_bash(program, "job", "show", "") == ["2", "1"]


def test_zsh_and_fish_hear_what_the_jobs_are(program: Program) -> None:
    assert offered(program, "zsh", "job", "cancel", "2") == ["plain", "2", "queued app.fail"]
    assert offered(program, "fish", "job", "show", "1") == ["plain,1\tqueued app.add"]


@pytest.mark.parametrize(
    "words, expected",
    [
        (["enqueue", "app.add", "-q", "n"], ["plain,nightly"]),
        (["job", "list", "-t", "app.f"], ["plain,app.fail"]),
        (["job", "list", "-q", "we"], ["plain,weekly"]),
        (["worker", "-q", "mail:2,ni"], ["plain,mail:2,nightly"]),
        (["job", "delete", "1"], ["plain,1"]),
        (["job", "list", "-s", "qu"], ["plain,queued"]),
        (["no-such-verb", "x"], []),
    ],
)
def test_what_is_offered(program: Program, words: list[str], expected: list[str]) -> None:
    assert offered(program, "bash", *words) == expected


def test_without_an_application_the_store_is_asked(program: Program) -> None:
    none = {"JOBPIPE_APP": ""}
    assert offered(program, "bash", "job", "list", "-t", "", **none) == [
        "plain,app.add",
        "plain,app.fail",
    ]
    assert offered(program, "bash", "queue", "resume", "", **none) == [
        "plain,nightly",
        "plain,weekly",
    ]
    broken = {"JOBPIPE_APP": "no_such_module:jp"}
    assert offered(program, "bash", "queue", "resume", "w", **broken) == ["plain,weekly"]


def test_options_before_the_word_count(program: Program) -> None:
    other = ["--url", "sqlite:///other.db", "--app", "none", "job", "show", ""]
    assert offered(program, "bash", *other) == []
    assert not program.folder.joinpath("other.db").exists()


def test_what_goes_wrong_offers_nothing_and_says_nothing(program: Program) -> None:
    away = {"JOBPIPE_URL": "postgresql://me@127.0.0.1:1/x", "JOBPIPE_APP": ""}
    assert offered(program, "bash", "job", "show", "", **away) == []
    program.folder.joinpath("app.py").write_text("print('noise'); raise SystemExit(3)")
    assert offered(program, "bash", "enqueue", "app", JOBPIPE_URL="mysql://x") == []


def test_instead_of_a_slow_application_the_store_is_asked(program: Program) -> None:
    program.folder.joinpath("app.py").write_text("import time; time.sleep(60)")
    assert offered(program, "bash", "enqueue", "app.a") == ["plain,app.add"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts(program: Program, shell: str) -> None:
    script = program("completion", shell)
    assert (script.returncode, script.stderr) == (0, "")
    assert f"_JOBPIPE_COMPLETE={shell}_complete" in script.stdout
    assert program("completion", "tcsh").returncode == 2
