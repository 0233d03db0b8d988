"""The application of the tests of the supervisor: tasks that wait for a file, and that kill."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

from jobpipe import Jobpipe

STEP_SECONDS = 0.005


def note(folder: str, name: str) -> None:
    """Add a line to a file: which process did it, and when."""
    with Path(folder, name).open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()} {time.monotonic_ns()}\n")


def hold(folder: str, name: str) -> int:
    """Run until the file NAME.go is there."""
    note(folder, name)
    while not Path(folder, f"{name}.go").exists():
        time.sleep(STEP_SECONDS)
    return os.getpid()


def die(folder: str, signal: int = 0, code: int = 0) -> None:
    """End the process that runs it, by a signal or with an exit code."""
    note(folder, "die")
    if signal:
        os.kill(os.getpid(), signal)
        time.sleep(60)
    os._exit(code)


def pid() -> int:
    return os.getpid()


async def stand_still() -> None:
    """Hold up the event loop."""
    time.sleep(60)  # noqa: ASYNC251  # that is the fault


def hold_interpreter(folder: str) -> int:
    """Let no other thread of the process run for three seconds."""
    note(folder, "interpreter")
    ctypes.PyDLL(None).sleep(3)
    return os.getpid()


def fill(megabytes: int) -> int:
    """Take memory and keep it."""
    kept.append(bytearray(os.urandom(1024) * 1024 * megabytes))
    return os.getpid()


kept: list[bytearray] = []


def application(url: str | None = None) -> Jobpipe:
    """Return the application on a store: in the worker that of the settings."""
    jp = Jobpipe(url)
    jp.task(name="hold", retry_delays=(0,))(hold)
    jp.task(name="hold_once", retry_delays=(0,), on_loss="fail")(hold)
    jp.task(name="die", retry_delays=(0,), max_attempts=2)(die)
    jp.task(name="pid")(pid)
    jp.task(name="stand_still", max_attempts=1)(stand_still)
    jp.task(name="fill")(fill)
    jp.task(name="hold_interpreter")(hold_interpreter)
    return jp


jp = application()
