"""``jobpipe init``: the project that it writes passes its own test and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.surface.conftest import Cli
from tests.surface.program import COMMAND, LIMIT

FILES = ["app.py", "jobpipe.toml", "tests/test_app.py", "README.md"]


def contents(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.timeout(90)
def test_the_project_passes_its_own_test_and_runs(cli: Cli) -> None:
    """Takes four starts of Python and a worker."""
    ended = cli("init", "my shop")
    project = cli.folder / "my shop"
    assert (ended.code, ended.out) == (0, "".join(f"wrote my shop/{name}\n" for name in FILES))
    assert ended.err.startswith("Now:\n  cd 'my shop'\n")
    assert sorted(contents(project)) == sorted(FILES)
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=project,
            env={**env, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "2 passed" in run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    assert run(sys.executable, "app.py").startswith("enqueued 1 and 2; ")
    run(*COMMAND, "worker", "--burst")
    jobs = [json.loads(line) for line in run(*COMMAND, "job", "list", "-o", "jsonl").splitlines()]
    assert [(job["state"], job["result"]) for job in jobs] == [
        ("succeeded", 4),
        ("succeeded", "Hello, Ada!"),
    ]
    findings = json.loads(run(*COMMAND, "doctor", "--json"))["findings"]
    assert "no_timeout" not in [finding["code"] for finding in findings]


def test_the_three_commands_stand_in_the_readme(cli: Cli) -> None:
    cli("init", "new")
    text = cli.folder.joinpath("new", "README.md").read_text(encoding="utf-8")
    commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    assert commands == ["python app.py", "jobpipe worker --burst", "python -m pytest"]


@pytest.mark.parametrize("name", ["README.md", "tests/test_app.py"])
def test_nothing_is_overwritten_and_then_nothing_is_written(cli: Cli, name: str) -> None:
    cli.folder.joinpath("new", "tests").mkdir(parents=True)
    cli.folder.joinpath("new", name).write_text("mine", encoding="utf-8")
    ended = cli("init", "new")
    assert (ended.code, ended.out) == (5, "")
    assert ended.err.startswith(f"Error: {name} already in new; nothing was written\n")
    assert contents(cli.folder / "new") == {name: "mine"}


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(cli: Cli) -> None:
    ended = cli("init", "/proc/shop")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "Error: /proc/shop/app.py cannot be written: No such file or directory\n"
        "Name a folder that you may write to: jobpipe init FOLDER\n"
    )


def test_here_and_as_json(cli: Cli) -> None:
    cli.folder.joinpath("app.py").unlink()
    assert cli("init", "--json").json == {"folder": ".", "files": FILES}
    assert cli.folder.joinpath("app.py").is_file()
    assert cli("init").code == 5
    assert cli("init", "app.py").code == 2
