"""``jobpipe worker`` as a program under test: its log of events, its children, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jobpipe import Jobpipe
from jobpipe.model.job import JobRecord
from tests.process.scene import ROOT
from tests.process.supervised_app import application

STEP_SECONDS = 0.01
LIMIT_SECONDS = 60.0

COMMAND = (sys.executable, "-m", "jobpipe")
SETTINGS = {
    "JOBPIPE_APP": "tests.process.supervised_app:jp",
    "JOBPIPE_LOG_LEVEL": "debug",
    "JOBPIPE_LOG_FORMAT": "json",
    "JOBPIPE_LEASE_SECONDS": "5",
    "JOBPIPE_POLL_SECONDS": "0.2",
    "JOBPIPE_SHUTDOWN_SECONDS": "5",
}

T = TypeVar("T")


class Supervised:
    """A supervisor with its workers, on one store; events are read from its log."""

    def __init__(self, url: str, folder: Path, jp: Jobpipe | None = None) -> None:
        """``jp`` is the application as its client, unless it is that of ``supervised_app``."""
        self.folder = folder
        self.url = url
        self.jp = jp or application(url)
        self._programs: list[subprocess.Popen[bytes]] = []
        self._log = folder / "supervisor.log"

    def start(
        self,
        *words: str,
        command: Sequence[str] = COMMAND,
        cwd: Path = ROOT,
        **settings: str,
    ) -> subprocess.Popen[bytes]:
        """Start ``jobpipe worker`` with these words and settings."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self._log.open("ab") as log:
            program = subprocess.Popen(
                [*command, "worker", *words],
                cwd=cwd,
                env=kept | SETTINGS | {"JOBPIPE_URL": self.url} | settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._programs.append(program)
        return program

    def text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def records(self) -> list[dict[str, Any]]:
        """Return every event that was logged so far."""
        lines = self.text().splitlines()
        # The line that is being written may be there in part.
        records = [json.loads(line) for line in lines if line.startswith("{") and line[-1] == "}"]
        return [record for record in records if "event" in record]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name that were logged so far."""
        return [record for record in self.records() if record["event"] == name]

    def until(self, condition: Callable[[], T], what: str) -> T:
        """Wait until the condition holds, and return what it returned."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come\n{self.text()[-6000:]}")
            time.sleep(STEP_SECONDS)
        return found

    def until_events(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        return self.until(
            lambda: found if len(found := self.events(name)) >= count else None, f"{count} {name}"
        )

    def noted(self, name: str, count: int = 1) -> list[tuple[int, int]]:
        """Wait until a task has noted so many lines; return them as (pid, time)."""

        def lines() -> list[tuple[int, int]] | None:
            file = self.folder / name
            found = file.read_text(encoding="ascii").splitlines() if file.exists() else []
            pairs = [(int(line.split()[0]), int(line.split()[1])) for line in found]
            return pairs if len(pairs) >= count else None

        return self.until(lines, f"{count} lines in {name}")

    def hold(self, name: str, *, task: str = "hold") -> int:
        """Enqueue a job that runs until it is let go; return its id."""
        args = {"folder": str(self.folder), "name": name}
        return self.jp.enqueue_named(task, args).id

    def let_go(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()

    def die(self, **how: int) -> int:
        args = {"folder": str(self.folder), **how}
        return self.jp.enqueue_named("die", args).id

    def record(self, id: int) -> JobRecord:
        """Return a job as it stands in the store."""
        record = self.jp.job(id).record
        assert record is not None
        return record

    def ask_pid(self) -> int:
        return self.jp.enqueue_named("pid").id

    def close(self) -> None:
        for program in self._programs:
            if program.poll() is None:
                program.send_signal(signal.SIGTERM)
                try:
                    program.wait(15)
                except subprocess.TimeoutExpired:
                    program.kill()
                    program.wait()
        self.jp.close()


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process, zombies too."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [int(each) for each in text.split()]
