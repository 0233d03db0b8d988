"""What one sample stands on: a fresh store, a tally, the system's verbs, its workers, a meter."""

from __future__ import annotations

import array
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.harness import meter
from bench.harness.programs import Program, ProgramFailed
from bench.harness.servers import Server
from bench.harness.system import System
from bench.systems import kit

LOOK_SECONDS = 0.01
DONE_SECONDS = 120.0
"""Longest wait for all jobs of a sample."""


@dataclass(frozen=True)
class Usage:
    """CPU seconds used by workers and by the store's server between two looks."""

    worker: float
    store: float


class Stage:
    """Use as a context manager: afterwards the store is dropped and every process has ended."""

    def __init__(
        self,
        system: System,
        command: list[str],
        server: Server,
        *,
        jobs: int = 0,
        quick: bool = False,
        pilot: bool = False,
    ) -> None:
        self.system = system
        self.jobs = jobs
        """The size of this sample, where the case has sizes."""
        self.quick = quick
        self.pilot = pilot
        """A small sample that only finds out how fast the system is about."""
        self._command = command
        self._server = server
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.system.name}-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.tally = self.folder / "tally"
        self.tally.mkdir()
        self.url = self._server.fresh()
        self._stack.callback(self._server.drop, self.url)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def start(self, verb: str, **given: Any) -> Program:
        """Start a verb beside us; it is stopped at the end of the sample at the latest."""
        return self._start(verb, given, answers=True)

    def _start(self, verb: str, given: dict[str, Any], *, answers: bool) -> Program:
        given = {"url": self.url, **given}
        if self.system.variant:
            given["variant"] = self.system.variant
        return self._stack.enter_context(
            Program(self._command, verb, given, self.folder, answers=answers)
        )

    def run(self, verb: str, **given: Any) -> dict[str, Any]:
        """Run a verb to its end and return its answer; raises ProgramFailed."""
        return self.start(verb, **given).answer()

    def seconds(self, verb: str, **given: Any) -> float:
        """Run a verb and return the seconds that it took by its own clock."""
        return float(self.run(verb, **given)["seconds"])

    @contextmanager
    def workers(self, count: int = 1, kind: str = "noop") -> Iterator[list[Program]]:
        """Run so many worker processes inside the block.

        ``kind`` names the task that they are to run well. A system that is able of ``processes``
        makes them itself in one program; of any other so many programs are started.
        """
        apart = "processes" not in self.system.abilities
        given: dict[str, Any] = {"tally": str(self.tally), "kind": kind}
        given |= {} if apart else {"processes": count}
        begun = [self._start("work", given, answers=False) for _ in range(count if apart else 1)]
        try:
            yield begun
        finally:
            for program in begun:
                program.stop()

    def usage(self, workers: list[Program]) -> Usage:
        """Return what workers and the store's server have used so far."""
        return Usage(
            meter.cpu_seconds(program.pid for program in workers),
            meter.cpu_seconds(self._server.pids()),
        )

    @property
    def server_pids(self) -> list[int]:
        """The processes of the store's server; none for a file."""
        return self._server.pids()

    def done(self) -> int:
        """Return how many jobs have been run."""
        return kit.total(self.tally)

    def until_done(self, jobs: int, workers: list[Program], seconds: float = DONE_SECONDS) -> None:
        """Wait until so many jobs have been run; raises ProgramFailed if that does not happen."""
        deadline = time.monotonic() + seconds
        while (done := self.done()) < jobs:
            ended = next((program for program in workers if program.ended), None)
            if ended is not None:
                raise ProgramFailed(f"a worker ended by itself\n{ended.tail()}")
            if time.monotonic() > deadline:
                told = workers[0].tail() if workers else ""
                raise ProgramFailed(f"{done} of {jobs} jobs done in {seconds:.0f} s\n{told}")
            time.sleep(LOOK_SECONDS)

    def running(self) -> int:
        """Return how many processes have run a job."""
        return sum(any(file.read_bytes()[:8]) for file in self.tally.glob("*.tally"))

    def spans(self) -> tuple[int, int]:
        """Return when the first job began and when the last one ended (monotonic ns)."""
        cells = [self._cells(file) for file in self.tally.glob("*.tally")]
        used = [cell for cell in cells if cell[0]]
        return min(cell[1] for cell in used), max(cell[2] for cell in used)

    def stamps_ms(self) -> list[float]:
        """Return the delays that the stamp jobs noted, in ms; all are there once workers ended."""
        values: array.array[int] = array.array("Q")
        for file in self.tally.glob("*.stamps"):
            values.frombytes(file.read_bytes())
        return [value / 1e6 for value in values]

    @staticmethod
    def _cells(file: Path) -> array.array[int]:
        return array.array("Q", file.read_bytes()[:24])
