"""Tasks for processes of their own, which import this module; they tell the test by files."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from jobpipe import Cancel, Fail, Retry, RunningJob, Snooze, State, Tasks, current_job
from jobpipe.model.job import Finish
from jobpipe.runtime.executors.frames import Ended, encode
from jobpipe.tasks.limits import Limits

tasks = Tasks()
LONG_SECONDS = 60
logger = logging.getLogger("apart")


class OwnError(Exception):
    """An error of the user's."""


@dataclass
class Sum:
    a: int
    b: int
    pid: int


def touch(file: str, text: str = "") -> None:
    Path(file).write_text(text)


@tasks.task(executor="process")
def add(a: int, b: int) -> Sum:
    return Sum(a, b, os.getpid())


@tasks.task(executor="process")
async def add_on_loop(a: int, b: int) -> Sum:
    await asyncio.sleep(0)
    return Sum(a, b, os.getpid())


@tasks.task(executor="process")
def claim_success() -> None:
    """Tell the worker, in the name of this process, that the success stands in the store."""
    job = current_job()
    said = Finish(
        id=job.id,
        token=job.token,
        state=State.SUCCEEDED,
        outcome="succeeded",
        result='"said"',
        stored=True,
    )
    with socket.socket(fileno=os.dup(int(sys.argv[1]))) as channel:
        channel.sendall(encode(Ended(said)))


@tasks.task(executor="process")
def main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@tasks.task(executor="process")
def speak(how: str) -> None:
    match how:
        case "fail":
            raise Fail("for good")
        case "cancel":
            raise Cancel("not wanted")
        case "retry":
            raise Retry("later", after=3600)
        case "snooze":
            raise Snooze(7200)
        case "own":
            raise OwnError("mine")
        case "exit":
            sys.exit(3)


@tasks.task(executor="process", retry_on=OSError, give_up_on=[FileNotFoundError], max_attempts=2)
def pick(kind: str) -> None:
    raise {"os": OSError, "file": FileNotFoundError, "own": OwnError}[kind](kind)


@tasks.task(executor="process")
def die(how: str) -> None:
    logger.warning("last words")
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case code:
            os._exit(int(code))


@tasks.task(executor="process", limits=Limits(memory_mb=512), max_attempts=1)
def eat_memory() -> None:
    bytearray(2**30)


@tasks.task(executor="process", limits=Limits(cpu_seconds=0.5), max_attempts=1)
def burn() -> None:
    while True:
        pass


@tasks.task(executor="process", limits=Limits(open_files=64), max_attempts=1)
def leak() -> None:
    kept = []
    while True:
        kept.append(os.open(os.devnull, os.O_RDONLY))


@tasks.task(executor="process", max_attempts=1)
def wait_long(begun: str, ended: str) -> None:
    Path(begun).touch()
    try:
        time.sleep(LONG_SECONDS)
    finally:
        Path(ended).write_text(str(current_job().cancel_requested()))


@tasks.task(executor="process", max_attempts=1)
async def await_long(begun: str, ended: str) -> None:
    touch(begun)
    try:
        await asyncio.sleep(LONG_SECONDS)
    finally:
        touch(ended, str(current_job().cancel_requested()))


@tasks.task(executor="process", max_attempts=1)
def turn_deaf(begun: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    heir = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LONG_SECONDS})"])
    Path(begun).write_text(str(heir.pid))
    time.sleep(LONG_SECONDS)


@tasks.task(executor="process")
def leave_an_heir() -> tuple[int, int]:
    heir = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LONG_SECONDS})"])
    return os.getpid(), heir.pid


@tasks.task(executor="process")
def spoil(how: str) -> int:
    """Leave something behind that the next job would suffer from."""
    match how:
        case "limit":
            resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        case "descriptors":
            for _ in range(100):
                os.open(os.devnull, os.O_RDONLY)
        case "streams":
            sys.stdout = sys.stderr = None
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return os.getpid()


@tasks.task(executor="process")
def audit() -> dict[str, list[str]]:
    """Tell what this process has been given."""
    descriptors = []
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors.append(os.readlink(f"/proc/self/fd/{name}").partition(":")[0])
        except OSError:  # that of the listing itself
            continue
    return {"descriptors": sorted(descriptors), "environment": sorted(os.environ)}


@tasks.task(executor="process")
def say_much(megabytes: int) -> str:
    block = b"all work and no play\n" * 50_000
    for _ in range(megabytes):
        os.write(1, block[: 1024 * 1024])
    return "said"


@tasks.task(executor="process")
def say() -> None:
    print("printed")
    os.write(2, b"written to descriptor 2, with a \0 and without an end")
    logger.warning("logged", extra={"rows": 7})
    job = current_job()
    job.log("told", part=2)
    job.progress(1, 2, "half")
    job.state = {"cursor": 41}


@tasks.task(executor="process", max_attempts=3)
def go_on() -> object:
    job = current_job()
    if job.state is None:
        job.state = {"cursor": 41}
        os._exit(1)
    return job.state


@tasks.task(executor="process")
def ask_in_threads() -> list[int]:
    ids: list[int] = []
    threads = [threading.Thread(target=lambda: ids.append(current_job().id)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ids


@tasks.task(executor="process")
def ask_for_more() -> int:
    return add.enqueue(1, 2).id


@tasks.task(executor="process")
def close_everything() -> None:
    os.closerange(3, 256)


@tasks.task
def where(kind: str = "def") -> tuple[int, str]:
    """Not meant for a process of its own; a suspect runs in one nevertheless."""
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid(), os.environ.get("DATABASE_URL", "")


@tasks.task
async def where_on_loop() -> tuple[int, str]:
    await asyncio.sleep(0)
    return os.getpid(), os.environ.get("DATABASE_URL", "")


async def _at_leisure(job: RunningJob, _result: object) -> None:
    await asyncio.sleep(0.6)
    logging.getLogger("hook").warning("heard of %s", job.task)


@tasks.task(name="heard", executor="process", timeout=0.3, max_attempts=1, on_success=_at_leisure)
def heard() -> int:
    return os.getpid()
