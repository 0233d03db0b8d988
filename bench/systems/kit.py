"""What every program of a measured system uses; the standard library alone, in any environment.

A program is started once a verb: ``program.py VERB '{"url": ...}'``. Its last line of output is
one JSON object; whatever else it has to say goes to the standard error.
"""

from __future__ import annotations

import array
import asyncio
import atexit
import functools
import inspect
import json
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Verb = Callable[..., Any]

STAMPS_KEPT = 256
"""Stamps in memory before they are written."""

TEXT = "x" * 1_024
"""What a job that is handed text is handed."""

WATCH_SECONDS = 0.01
"""Pause between two looks at what is left."""

FLAKY_EVERY = 20
"""Of so many flaky jobs one fails, at its first attempt."""

_failed: set[int] = set()
"""The flaky jobs that failed in this process."""


class Tally:
    """Counts the jobs that this process ran, where the harness reads it while they run.

    One file a process, of three numbers: jobs run, and the monotonic clock (ns) when the first
    began and when the last ended. A forked process opens a file of its own.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = 0
        self._stamps = array.array("Q")
        self._open()
        atexit.register(self.flush)
        os.register_at_fork(after_in_child=self._open)

    def count(self) -> None:
        """One job ran."""
        cells = self._cells
        if not cells[0]:
            cells[1] = time.monotonic_ns()
        cells[0] += 1
        cells[2] = time.monotonic_ns()

    def stamp(self, at_ns: int) -> None:
        """One job ran that was asked for at ``at_ns``."""
        self._stamps.append(max(0, time.monotonic_ns() - at_ns))
        self.count()
        if len(self._stamps) >= STAMPS_KEPT:
            self.flush()

    def flush(self) -> None:
        """Write the stamps that are still in memory."""
        if self._stamps:
            stamps, self._stamps = self._stamps, array.array("Q")  # other threads go on
            with (self.folder / f"{self._process}.stamps").open("ab") as file:
                stamps.tofile(file)

    def _open(self) -> None:
        self._process = os.getpid()
        del self._stamps[:]
        path = self.folder / f"{self._process}.tally"
        with path.open("w+b") as file:
            file.write(bytes(24))
            file.flush()
            self._map = mmap.mmap(file.fileno(), 24)
        self._cells = memoryview(self._map).cast("Q")


def total(folder: Path) -> int:
    """Return how many jobs all processes ran that count in this folder."""
    return sum(int.from_bytes(file.read_bytes()[:8], "little") for file in folder.glob("*.tally"))


def is_flaky(n: int) -> bool:
    """Tell whether the flaky job ``n`` is one that fails at first."""
    return n % FLAKY_EVERY == 0


def fails_now(n: int) -> bool:
    """Tell whether the flaky job ``n`` fails, where a task cannot see which attempt it is."""
    if not is_flaky(n) or n in _failed:
        return False
    _failed.add(n)
    return True


def argument(task: str, n: int) -> Any:
    """Return what the job ``n`` of this task is given."""
    return TEXT if task == "kib" else n


def timed(action: Callable[[], object]) -> float:
    """Return how long the action took, in seconds."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


async def from_callers(callers: int, jobs: int, call: Callable[[int], Any]) -> float:
    """Await ``call(n)`` for every n below ``jobs`` from so many callers; return the seconds.

    The first one is not timed: it opens what is opened but once.
    """
    await call(0)
    numbers = iter(range(1, jobs))

    async def caller() -> None:
        for n in numbers:
            await call(n)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - began


def from_threads(callers: int, jobs: int, call: Callable[[int], Any]) -> float:
    """Do ``call(n)`` for every n below ``jobs`` from so many threads; return the seconds.

    The first one is not timed: it opens what is opened but once.
    """
    call(0)
    numbers = iter(range(1, jobs))  # a range hands each number out once, whichever thread asks

    def caller() -> None:
        for n in numbers:
            call(n)

    threads = [threading.Thread(target=caller) for _ in range(callers - 1)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    caller()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


async def filled(jobs: int, chunk: int, call: Callable[[range], Any]) -> float:
    """Await ``call(numbers)`` for all numbers below ``jobs`` in chunks; return the seconds."""
    began = time.perf_counter()
    for start in range(0, jobs, chunk):
        await call(range(start, min(start + chunk, jobs)))
    return time.perf_counter() - began


async def paced(jobs: int, gap_ms: float, call: Callable[[int], Any]) -> float:
    """Await ``call(at_ns)`` once every ``gap_ms``, late ones at once; return the seconds."""
    began = time.perf_counter()
    for n in range(jobs):
        pause = began + n * gap_ms / 1000 - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        await call(time.monotonic_ns())
    return time.perf_counter() - began


async def fed(
    tally: str, seconds: float, backlog: int, call: Callable[[range], Any], chunk: int = 1_000
) -> int:
    """Keep about ``backlog`` jobs waiting by ``call(numbers)`` in chunks; return how many."""
    folder = Path(tally)
    sent, ends = 0, time.perf_counter() + seconds
    while time.perf_counter() < ends:
        room = backlog - (sent - total(folder))
        if room < min(chunk, backlog):
            await asyncio.sleep(0.002)
            continue
        size = min(chunk, room)
        await call(range(sent, sent + size))
        sent += size
    return sent


def given(name: str) -> str:
    """Return what the command line gives under this name, or nothing."""
    return str(json.loads(sys.argv[2]).get(name, ""))


@functools.cache
def tally() -> Tally:
    """Return the tally that the command line names, opened once for all threads."""
    return Tally(given("tally"))


def run(**verbs: Verb) -> None:
    """Do the verb that the command line names with the arguments it gives; print the answer."""
    verb, given = sys.argv[1], json.loads(sys.argv[2])
    if verb == "work":
        tally()  # before there are threads
    answer = _watch(verbs["left"], **given) if verb == "watch" else _done(verbs[verb], given)
    print(json.dumps(answer or {}), flush=True)


def _watch(left: Verb, tally: str, jobs: int, **given: Any) -> dict[str, int]:
    """Say ``ready``; when so many jobs have run, tell when the store says that none is left."""
    parent, folder = os.getppid(), Path(tally)
    _done(left, given)  # so that the first look that counts loads and imports nothing
    print("ready", flush=True)
    while total(folder) < jobs:
        _pause(parent)
    while True:
        at_ns = time.monotonic_ns()
        if _done(left, given)["left"] == 0:
            return {"at_ns": at_ns}
        _pause(parent)


def _pause(parent: int) -> None:
    """Wait for a moment; end the program when nobody is there any more to hear its answer."""
    time.sleep(WATCH_SECONDS)
    if os.getppid() != parent:
        sys.exit("whoever asked has ended")


def _done(verb: Verb, given: dict[str, Any]) -> Any:
    answer = verb(**given)
    return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer


async def _awaited(answer: Any) -> Any:
    return await answer
