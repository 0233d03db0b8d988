"""A drain by one, two and eight processes: what each side spends a job, and on what.

The processor's time is counted by the system, the time of statements by the server; the shares of
the worker are samples by py-spy, taken in a drain of their own.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.cases import drain
from bench.harness import meter, venvs
from bench.harness.servers import Postgres
from bench.harness.stage import Stage
from bench.profile.figures import ROUNDS, Figures, note, served, statements, tell
from bench.systems import all_systems

SYSTEMS = ("jobpipe", "floor_postgres")
JOBS, SPIED_JOBS = 150_000, 400_000
PARTS = {
    "run an attempt: slot, context, call, outcome": (
        *("runtime/slots", "runtime/attempt", "runtime/runner", "runtime/calling"),
        *("executors/async_", "runtime/context", "runtime/hooks", "policy/outcome"),
    ),
    "note for the supervisor what runs": ("supervisor/page", "supervisor/child"),
    "decode the arguments": ("tasks/codec", "tasks/signature"),
    "the task itself": ("systems/kit.py", "tasks.py", "floor_postgres/program.py"),
    "claim: rows, records, demand": (
        *("runtime/claimer", "runtime/incarnation", "runtime/lanes", "policy/frontier"),
        *("ops/claim", "store/rows"),
    ),
    "finish: gather, arrays": (
        *("runtime/finisher", "runtime/reporter", "runtime/unwritten", "ops/finish"),
        *("store/binding", "systems/floor.py"),
    ),
    "drivers": ("asyncpg/", "store/postgres", "store/stepping", "store/port"),
}
SOCKET = {"_read_ready__data_received": "read", "select": "wait"}
SPY = ("py-spy", "record", "-f", "raw", "-r", "400", "-d", "60")


def profile() -> None:
    """Print what a drain costs, then what the worker of each system does meanwhile."""
    found: Figures = {}
    with served() as server:
        for _ in range(ROUNDS):
            for name in SYSTEMS:
                for processes in (1, 2, 8):
                    _drained(server, name, processes, found)
        tell("Drains", "median (range)", found)
        for name in SYSTEMS:
            with _stage(server, name, SPIED_JOBS) as stage:
                tell(f"What the worker of {name} does", "% of its time", _spied(stage))


def _drained(server: Postgres, name: str, processes: int, found: Figures) -> None:
    head = f"{name}, {processes}"
    with _stage(server, name, JOBS) as stage:
        for figure, value in drain.drain(stage, processes=processes).figures.items():
            note(found, f"{head}: {figure}", value)
        for statement, (rows, micros) in statements(server, stage.url).items():
            note(found, f"{head}: {statement}, rows a call", rows)
            note(found, f"{head}: {statement}, us a row", micros)


@contextmanager
def _stage(server: Postgres, name: str, jobs: int) -> Iterator[Stage]:
    system = all_systems()[name]
    venvs.set_up(system)
    with Stage(system, venvs.command(system), server, jobs=jobs) as stage:
        yield stage


def _spied(stage: Stage) -> Figures:
    """Drain, and return the shares of the worker's samples."""
    stage.run("prepare")
    stage.run("fill", jobs=stage.jobs, task="noop")
    out = stage.folder / "stacks"
    with stage.workers() as workers:
        while not stage.running():
            time.sleep(drain.FIRST_LOOK_SECONDS)
        worker = max(meter.tree([workers[0].pid]))  # a supervisor's child is younger than it
        spy = subprocess.Popen([*SPY, "-p", str(worker), "-o", str(out)], stdout=subprocess.DEVNULL)
        stage.until_done(stage.jobs, workers)
        spy.send_signal(signal.SIGINT)
        spy.wait()
    return shares(out.read_text(encoding="utf-8").splitlines())


def shares(stacks: Sequence[str]) -> Figures:
    """Return the percent of samples by part, the largest first."""
    parts: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        parts[part_of(stack.split(";"))] += int(count)
    return {part: [100 * count / parts.total()] for part, count in parts.most_common()}


def part_of(frames: Sequence[str]) -> str:
    """Name the part that a stack was in, outermost frame first: by the innermost file that counts.

    The loop's own work inside one of our files (a semaphore, a task) counts as that file's.
    """
    for frame in reversed(frames):
        function, _, place = frame.rpartition(" (")
        file = place.partition(":")[0]
        if file.endswith(("selectors.py", "selector_events.py")):
            return f"socket: {SOCKET.get(function.rpartition('.')[2], 'write')}"
        for part, files in PARTS.items():
            if any(name in file for name in files) and "asyncio/" not in file:
                return part
    return "event loop"
