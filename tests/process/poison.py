"""An application whose tasks do to their worker what no task should do.

Each poison names what its job's error must tell; ``bystander`` is what runs beside it. Those that
no thread or coroutine should be allowed are tasks of the process executor.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobpipe import Jobpipe, Tasks, current_job

tasks = Tasks()

POISONS: dict[str, str] = {}
"""By the name of the task: a pattern that the error of its failed job matches."""

KEPT: list[Any] = []
"""What a poison leaks stays reachable."""

FOREVER = 3600.0


def poison(cause: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        POISONS[function.__name__] = cause
        tasks.task(name=function.__name__, max_attempts=2, retry_delays=(0.0,), **options)(function)
        return function

    return declare


@tasks.task(name="bystander")
def bystander(gate: str) -> str:
    while not Path(gate).exists():
        time.sleep(0.02)
    return "unharmed"


@tasks.task(name="kills_a_moment_later")
async def kills_a_moment_later() -> None:
    asyncio.get_running_loop().call_soon(os._exit, 7)


@tasks.task(name="async_bystander")
async def async_bystander(gate: str) -> str:
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240  # another process opens the gate
        await asyncio.sleep(0.02)
    return "unharmed"


# Deaths of the whole process


@poison(r"exited with code 7")
def exits() -> None:
    os._exit(7)


@poison(r"exited with code 0")
async def exits_as_if_all_were_well() -> None:
    os._exit(0)


@poison(r"SIGABRT")
def aborts() -> None:
    os.abort()


@poison(r"SIGSEGV")
def reads_address_zero() -> None:
    ctypes.string_at(0)


@poison(r"SIGSEGV")
async def reads_address_zero_on_the_loop() -> None:
    ctypes.string_at(0)


@poison(r"SIGKILL")
def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@poison(r"SIGILL")
def executes_nonsense() -> None:
    os.kill(os.getpid(), signal.SIGILL)


@poison(r"SIGBUS")
def takes_the_wrong_bus() -> None:
    os.kill(os.getpid(), signal.SIGBUS)


@poison(r"SIGXCPU|SIGKILL")
def uses_up_the_processor_allowed() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True:
        pass


@poison(r"SIGSEGV|SIGABRT|RecursionError")
def recurses_in_c() -> None:
    sys.setrecursionlimit(10**9)
    nested: list[Any] = []
    for _ in range(10**6):
        nested = [nested]
    KEPT.append(nested)
    repr(nested)


@poison(r"no pulse")
def holds_the_interpreter() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


@poison(r"no pulse")
async def blocks_the_loop() -> None:
    time.sleep(FOREVER)  # noqa: ASYNC251  # the crime itself


@poison(r"CancelledError|WorkerDied|ProcessDied")
async def stops_the_loop() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(FOREVER)


@poison(r"WorkerDied|Bad file descriptor|no pulse|ProcessDied")
def closes_our_sockets() -> None:
    os.closerange(3, 4096)
    time.sleep(FOREVER)


@poison(r"exited with code 9")
def forks_and_leaves() -> None:
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    os._exit(9)


# What stays within the process


@poison(r"SystemExit")
def asks_to_exit() -> None:
    sys.exit(3)


@poison(r"KeyboardInterrupt")
async def interrupts() -> None:
    raise KeyboardInterrupt


@poison(r"CancelledError")
async def cancels_itself() -> None:
    raise asyncio.CancelledError


@poison(r"GeneratorExit")
def raises_generator_exit() -> None:
    raise GeneratorExit


@poison(r"RecursionError")
def recurses() -> None:
    recurses()


@poison(r"Unspeakable")
def cannot_be_told() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    raise Unspeakable


@poison(r"ValueError")
def says_too_much() -> None:
    raise ValueError("\x00\ud800" * 25_000_000)


@poison(r"stored|JSON|encode|Unstorable")
def returns_what_cannot_be_stored() -> object:
    return threading.Lock()


@poison(r"bytes|large|Payload")
def returns_too_much() -> str:
    return "x" * 50_000_000


@poison(r"ValueError: the clock")
def moves_the_clock() -> None:
    real = time.time, time.monotonic
    time.time, time.monotonic = lambda: 0.0, lambda: real[1]() + 10**6
    try:
        logging.getLogger("poison").info("what time is it?")
        time.sleep(0.05)
    finally:
        time.time, time.monotonic = real
    raise ValueError("the clock is back")


@poison(r"ValueError: nothing to see")
def takes_away_what_all_share() -> None:
    os.environ.clear()
    os.chdir("/")
    logging.disable(logging.CRITICAL)
    sys.stdout = sys.stderr = None  # type: ignore[assignment]
    gc.disable()
    raise ValueError("nothing to see")


@poison(r"time-out", timeout=0.3)
def never_ends() -> None:
    threading.Event().wait(FOREVER)


# In a process of their own


@poison(r"SIGSEGV", executor="process")
def reads_address_zero_apart() -> None:
    ctypes.string_at(0)


@poison(r"MemoryError|SIGKILL|code 1", executor="process")
def eats_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
    hunger = []
    while True:
        hunger.append(bytearray(2**24))


@poison(r"time-out", executor="process", timeout=0.5)
def ignores_being_asked() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(FOREVER)


@poison(r"time-out", executor="process", timeout=0.5)
def holds_the_interpreter_apart() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


@poison(r"Too many open files", executor="process")
def leaks_descriptors() -> None:
    while True:
        KEPT.append(os.open(os.devnull, os.O_RDONLY))


@poison(r"ValueError: much said", executor="process")
def writes_a_gigabyte() -> None:
    block = b"all work and no play\n" * 50_000
    for _ in range(1_000):
        os.write(1, block)
    raise ValueError("much said")


@poison(r"ValueError: an heir", executor="process")
def leaves_a_child_behind() -> None:
    heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(current_job().meta["note"]).write_text(str(heir.pid), encoding="ascii")
    raise ValueError("an heir")


@poison(r"WorkerDied|lost", executor="process")
def kills_its_worker() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(FOREVER)


def application(url: str | None = None) -> Jobpipe:
    """Return an application of these tasks, each a home of its own."""
    jp = Jobpipe(url)
    jp.registry.add(*tasks.registry)
    return jp


jp = application()
