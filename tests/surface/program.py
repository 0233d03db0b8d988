"""The command as a process of its own, in a folder with an application."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.surface.conftest import APP

COMMAND = [sys.executable, "-m", "jobpipe"]
LIMIT = 30
"""Seconds after which a process that should have ended is taken for stuck."""


class Program:
    """Runs the command in a folder with an application, on one store."""

    def __init__(self, folder: Path, url: str) -> None:
        folder.joinpath("app.py").write_text(APP, encoding="utf-8")
        self.folder = folder
        kept = ("PATH", "HOME", "LANG", "SYSTEMROOT")
        self.env = {name: os.environ[name] for name in kept if name in os.environ}
        self.env |= {"JOBPIPE_URL": url, "JOBPIPE_APP": "app:jp", "PYTHONDONTWRITEBYTECODE": "1"}
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A background job of a shell ignores Ctrl-C, and so would all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.started.append(process)
        return process

    def on_terminal(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Run the command on a terminal of its own and return all that it wrote there."""
        wide = {"TERM": "xterm-256color", "COLUMNS": "120"}
        return on_a_terminal([*COMMAND, *words], self.folder, self.env | wide | (env or {}))


def on_a_terminal(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> str:
    """Run a command on a terminal of its own and return all that it wrote there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # how Linux tells that the other side is closed
                break
            if not part:
                break
            written += part
        process.wait(LIMIT)
    os.close(ours)
    return written.decode()


def until(process: subprocess.Popen[str], words: str) -> None:
    """Read the process's standard error up to the line that holds the words."""
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}: {''.join(told)}")


def programs(folder: Path, url: str) -> Iterator[Program]:
    """Give a program, and end what it started."""
    program = Program(folder, url)
    yield program
    for process in program.started:
        process.kill()
        process.communicate()
