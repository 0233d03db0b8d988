"""A supervisor with its worker process, as ``jobpipe worker`` starts them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.process.ledger import Ledger
from tests.process.scene import Program
from tests.process.torture.watch import Watch
from tests.waiting import is_alive

STEP_SECONDS = 0.02
APP = "tests.process.torture.app:jp"
LEDGER = "TORTURE_LEDGER"
"""The name in the environment of the folder of the ledger."""


class House:
    """One ``jobpipe worker``; its jobs run in its child, and suspects in a child of that."""

    def __init__(self, program: Program, born: int) -> None:
        self.program, self.born = program, born
        self.doomed = False

    @property
    def children(self) -> list[int]:
        return _children(self.program.pid)

    @property
    def everybody_below(self) -> list[int]:
        """All processes below the supervisor."""
        found = list(self.children)
        for pid in found:
            found += _children(pid)
        return found

    def runs_jobs(self, watch: Watch) -> bool:
        return any(watch.running[pid] for pid in self.everybody_below)

    def kill_child(self, ledger: Ledger, watch: Watch) -> None:
        """Kill the worker process; the supervisor sees it and starts another."""
        self._note(ledger, self.everybody_below)
        for pid in self.children:
            self._kill(pid, watch)

    def kill(self, ledger: Ledger, watch: Watch) -> None:
        """Kill the supervisor, which its child does not outlive."""
        below = self.everybody_below
        self._note(ledger, [self.program.pid, *below])
        self.doomed = True
        self.program.send(signal.SIGKILL)
        self.program.wait()
        _await_ends(below, watch)

    def _kill(self, pid: int, watch: Watch) -> None:
        below = [pid, *_children(pid)]
        os.kill(pid, signal.SIGKILL)
        _await_ends(below, watch)

    def _note(self, ledger: Ledger, pids: list[int]) -> None:
        for pid in pids:
            ledger.write("fault", how="SIGKILL", whom=pid)


def _await_ends(pids: list[int], watch: Watch) -> None:
    """Wait until nobody of them lives, and forget them."""
    deadline = time.monotonic() + 30
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline, f"some of {pids} outlive their supervisor"
        time.sleep(STEP_SECONDS)
    for pid in pids:
        watch.forget(pid)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(each) for each in text.split()]
