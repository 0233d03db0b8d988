"""`make run` starts each example, also from a folder with spaces in its name."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.waiting import until

ROOT = Path(__file__).parents[2]
ASKED = "import sys; open('asked', 'w').write(' '.join(sys.argv[1:]))"
PYTHON = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of what the examples need; its .venv stands for the one that would be installed."""
    home = tmp_path / "my own folder"
    shutil.copytree(ROOT / "examples", home / "examples", ignore=shutil.ignore_patterns("*.db*"))
    scripts, programs = home / "scripts", home / ".venv" / "bin"
    scripts.mkdir()
    programs.mkdir(parents=True)
    scripts.joinpath("find_python.sh").write_text(f"echo '{sys.executable}'\n", encoding="utf-8")
    scripts.joinpath("setup_venv.py").write_text(ASKED, encoding="utf-8")
    programs.joinpath("python").write_text(PYTHON, encoding="utf-8")
    programs.joinpath("python").chmod(0o755)
    return home


@pytest.mark.parametrize(
    "example, variable, path",
    [("queue_service", "PORT", "/health"), ("task_scheduler", "API_PORT", "/tasks")],
)
def test_one_command_starts_it(home: Path, example: str, variable: str, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}{path}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False

    env = os.environ | {variable: str(port)}
    with subprocess.Popen(
        ["make", "run"], cwd=home / "examples" / example, env=env, start_new_session=True
    ) as make:
        try:
            until(answers)
        finally:
            os.killpg(make.pid, signal.SIGTERM)
    asked = home.joinpath("asked").read_text(encoding="utf-8")
    assert asked == "--postgres"  # either takes the URL of one


@pytest.mark.parametrize(
    "example, goal, wanted",
    [
        ("queue_service", "test", "--dev"),
        ("queue_service", "build", "--postgres"),
        ("task_scheduler", "test", "--dev"),
        ("task_scheduler", "worker", "--postgres"),
    ],
)
def test_each_goal_asks_for_one_thing_to_be_installed(
    home: Path, example: str, goal: str, wanted: str
) -> None:
    told = subprocess.run(
        ["make", "-n", goal],
        cwd=home / "examples" / example,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (line,) = [line for line in told.splitlines() if "setup_venv.py" in line]
    assert line.rpartition("setup_venv.py ")[2] == wanted
