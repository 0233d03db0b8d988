"""A run of the system as a test sees it: a store, a ledger, and processes of our own.

Waiting is for events (a line of the ledger, the end of a process, a state of the store), each
with a limit. Every process is stopped by its own pid.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from jobpipe import Jobpipe
from tests.process import producer, workload
from tests.process.checker import Anomaly, Kind, check
from tests.process.contents import Database
from tests.process.ledger import Entry, Ledger, Reader

ROOT = Path(__file__).resolve().parents[2]
STEP_SECONDS = 0.02
LIMIT_SECONDS = 30.0

SETTINGS = {
    "JOBPIPE_LEASE_SECONDS": "1",
    "JOBPIPE_POLL_SECONDS": "0.2",
    "JOBPIPE_RETRY_DELAYS": "0.05",
}


class Program:
    """A process of a scene."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid

    @property
    def over(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    @property
    def stopped(self) -> bool:
        """Whether it stands still after SIGSTOP."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] == "T"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self._process.send_signal(number)

    def wait(self, seconds: float = LIMIT_SECONDS) -> int:
        """Wait for its end and return its exit code (negative: the signal that ended it)."""
        return self._process.wait(seconds)

    def close(self) -> None:
        """End it if it still runs."""
        if not self.over:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()


class Scene:
    """Made for one test by the fixture ``scene``."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.database = Database(url)
        self.lines = folder / "ledger"
        self.lines.mkdir()
        self.ledger, self._reader = Ledger(self.lines), Reader(self.lines)
        self.jp: Jobpipe = workload.application(url, self.ledger)
        self.programs: list[Program] = []
        self._env = {
            name: value for name, value in os.environ.items() if not name.startswith("JOBPIPE_")
        } | {"JOBPIPE_URL": url, **SETTINGS}
        self.jp.migrate()

    def close(self) -> None:
        for program in self.programs:
            program.close()
        self.jp.close()
        self.ledger.close()

    # What happens

    def enqueue(
        self, task: str, op: str, *, key: str | None = None, delay: float = 0.0, **args: object
    ) -> bool:
        """Enqueue from this process; tell whether the answer is known."""
        given = {"op": op, **args}
        return producer.enqueue(self.jp, self.ledger, task, given, key=key, delay=delay)

    def compose(self, op: str, last: str = "in_order") -> None:
        """Enqueue a flow from this process."""
        producer.compose(self.jp, self.ledger, op, last)

    def settled_with_one_more(self, seconds: float = LIMIT_SECONDS) -> None:
        """Wait until every job has come to an end, and one more of each key that is asked then."""
        self.settled(seconds)
        for number, (task, args) in enumerate(producer.ONE_OF_EACH_KEY):
            given = producer.arguments(task, f"one more {number}") | args
            producer.enqueue(self.jp, self.ledger, task, given)
        self.quiet(seconds)

    def gate(self, name: str = "gate") -> Path:
        """Return the path of a gate; ``touch()`` opens it."""
        return self.folder / name

    def worker(
        self,
        *flags: str,
        plant: str | None = None,
        fault: str | None = None,
        failpoints: str | None = None,
        ready: bool = True,
        env: Mapping[str, str] | None = None,
        **settings: object,
    ) -> Program:
        """Start a worker; return when it works (``ready``)."""
        words = [*flags]
        words += ["--plant", plant] if plant else []
        words += ["--fault", fault] if fault else []
        program = self._start("worker", words, failpoints, settings, env)
        if ready:
            self.until(lambda: self.event("WorkerStarted", program) or program.over, "a worker")
            assert not program.over, self.logs()
        return program

    def producer(
        self,
        plan: str,
        *,
        plant: str | None = None,
        failpoints: str | None = None,
        env: Mapping[str, str] | None = None,
        **flags: object,
    ) -> Program:
        """Start a producer of a plan; ``flags``: seed, count, threads, seconds."""
        words = [plan, *(f"--{name}={value}" for name, value in flags.items())]
        words += ["--plant", plant] if plant else []
        return self._start("producer", words, failpoints, {}, env)

    def supervisor(self, app: str, *, env: Mapping[str, str], **settings: object) -> Program:
        """Start ``jobpipe worker`` with the application of a module."""
        given = {f"JOBPIPE_{name.upper()}": str(value) for name, value in settings.items()}
        log = self.folder / f"supervisor-{len(self.programs)}.log"
        command = [sys.executable, "-m", "jobpipe", "worker", app]
        program = Program(command, self._env | dict(env) | given, log)
        self.programs.append(program)
        return program

    def _start(
        self,
        what: str,
        words: list[str],
        failpoints: str | None,
        settings: dict[str, object],
        surroundings: Mapping[str, str] | None,
    ) -> Program:
        env = self._env | dict(surroundings or {})
        env |= {f"JOBPIPE_{name.upper()}": str(value) for name, value in settings.items()}
        if failpoints:
            env["JOBPIPE_FAILPOINTS"] = failpoints
        command = [sys.executable, "-m", f"tests.process.{what}", *words]
        log = self.folder / f"{what}-{len(self.programs)}.log"
        program = Program([*command, "--ledger", str(self.lines)], env, log)
        self.programs.append(program)
        if failpoints:
            self.ledger.write("fault", how=failpoints, whom=program.pid)
        return program

    def kill(self, program: Program) -> None:
        """Kill a process as the kernel does."""
        self.fault(program, signal.SIGKILL)
        program.wait()

    def fault(self, program: Program, number: signal.Signals) -> None:
        """Send a signal that does harm, and write it down before."""
        self.ledger.write("fault", how=number.name, whom=program.pid)
        program.send(number)

    # What is waited for

    def until(
        self, condition: Callable[[], object], what: str, seconds: float = LIMIT_SECONDS
    ) -> None:
        """Wait until the condition holds; fail with the processes' logs after the limit."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come in {seconds:g} s\n{self.logs()}")
            time.sleep(STEP_SECONDS)

    def entries(self) -> list[Entry]:
        """Return the ledger so far."""
        return self._reader.read()

    def count(self, name: str, program: Program | None = None) -> int:
        """Count the times that workers, or this one, have logged an event."""
        return sum(
            entry.how == name and (program is None or entry.pid == program.pid)
            for entry in self.entries()
            if entry.what == "event"
        )

    def event(self, name: str, program: Program | None = None) -> bool:
        """Tell whether a worker, or this one, has logged an event."""
        return self.count(name, program) > 0

    def is_registered(self, program: Program) -> bool:
        """Tell whether the store takes a worker for alive."""
        question = f"SELECT id FROM {{p}}worker WHERE pid = {program.pid} AND ended_at IS NULL"
        return bool(self.database.ask(question))

    def renewed(self, program: Program, times: int) -> None:
        """Wait until a worker has renewed its lease so often from now on."""
        question = f"SELECT seen_at FROM {{p}}worker WHERE pid = {program.pid}"
        for _ in range(times):
            before = self.database.ask(question)
            self.until(lambda: self.database.ask(question) != before, "a renewal")  # noqa: B023

    def started(self, op: str, times: int = 1) -> bool:
        """Tell whether a job's runs have begun so many times."""
        return sum(e.what == "start" and e.op == op for e in self.entries()) >= times

    def ended(self, op: str, program: Program) -> bool:
        """Tell whether a run of the job has ended in that process."""
        entries = self.entries()
        return any((e.what, e.op, e.pid) == ("end", op, program.pid) for e in entries)

    def ended_anywhere(self, op: str) -> bool:
        """Tell whether a run of the job has ended."""
        return any((e.what, e.op) == ("end", op) for e in self.entries())

    def states(self) -> dict[str, str]:
        """Return the state of each job by its wish."""
        return {job.op: job.state for job in self.database.contents().jobs}

    def settled(self, seconds: float = LIMIT_SECONDS) -> None:
        """Wait until every job has come to an end."""
        self.until(lambda: not self.database.unfinished(), "the end of all jobs", seconds)

    def quiet(self, seconds: float) -> None:
        """Wait until every job has come to an end, or for so long: the checker says what stuck."""
        deadline = time.monotonic() + seconds
        while self.database.unfinished() and time.monotonic() < deadline:
            time.sleep(STEP_SECONDS)

    # The verdict

    def anomalies(self, *, in_order: bool = False, lease_seconds: float = 1.0) -> list[Anomaly]:
        contents = self.database.contents()
        return check(self.entries(), contents, in_order=in_order, lease_seconds=lease_seconds)

    def kinds(self, *, in_order: bool = False) -> set[Kind]:
        """Return the names of all anomalies."""
        return {anomaly.kind for anomaly in self.anomalies(in_order=in_order)}

    def assert_clean(self) -> None:
        """Fail with the anomalies and the processes' logs if there are any."""
        found = self.anomalies()
        assert not found, "\n".join(map(str, found)) + "\n" + self.logs()

    def logs(self) -> str:
        """Return the end of what each process wrote."""
        return "\n".join(
            f"--- {program.log.name} (pid {program.pid})\n{program.log.read_text()[-3000:]}"
            for program in self.programs
        )
