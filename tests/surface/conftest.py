"""An application in a folder of its own, and the command line to put questions to it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jobpipe.cli.main import run

APP = '''
from jobpipe.application import Jobpipe

jp = Jobpipe()


@jp.task
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@jp.task(max_attempts=1, queue_name="mail")
def fail(text: str) -> None:
    raise ValueError(text)


@jp.task(name="evil\\u202e", queue_name="mail")
async def evil() -> str:
    return "\\x1b[31mred\\x9b"
'''


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """The command line in this process, in a folder with an application."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *words: str) -> Ended:
        self._capsys.readouterr()
        code = run(words)
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    def outside(self, *words: str) -> Ended:
        """Run the command as a process: a worker starts others, which write where it does."""
        done = subprocess.run(
            [sys.executable, "-m", "jobpipe", *words],
            cwd=self.folder,
            env=os.environ | {"JOBPIPE_LOG_LEVEL": "warning"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def worked(self) -> None:
        """Run what may run now."""
        sys.modules["app"].jp.drain()


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    tmp_path.joinpath("app.py").write_text(APP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("DATABASE_URL", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JOBPIPE_APP", "app:jp")
    root, ours = logging.getLogger(), logging.getLogger("jobpipe")
    before = (root.level, list(root.handlers), ours.level)
    modules = set(sys.modules)
    yield Cli(tmp_path, capsys)
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    ours.setLevel(before[2])
