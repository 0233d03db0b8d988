"""Programs with tasks in processes of their own: scripts, and workers that are killed."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobpipe.runtime.executors import process
from tests.waiting import is_alive, until

ENOUGH_SECONDS = 30.0

SCRIPT = """
import os
from jobpipe import Jobpipe

jp = Jobpipe("sqlite:///jobs.db")


@jp.task(executor="process")
def double(n: int) -> tuple[int, str, int]:
    return 2 * n, __name__, os.getpid()


if __name__ == "__main__":
    with jp.running(concurrency=1):
        number, name, pid = double.enqueue(21).result(timeout=20)
    print(number, name, pid != os.getpid())
"""

AROUND = """
from jobpipe import Cancel, Depends, Jobpipe, current_job
from jobpipe.errors import JobFailed
import ctypes
import os

jp = Jobpipe("sqlite:///around.db", max_attempts=1)
told = open("told", "a", buffering=1)


def tell(what):
    told.write(f"{what} {'in the worker' if __name__ == '__main__' else 'apart'}\\n")


@jp.lifespan
async def shared():
    tell("set up")
    yield {"n": 40}
    tell("torn down")


@jp.middleware
async def around(job, call_next):
    tell(f"before {job.task}")
    try:
        return await call_next()
    finally:
        tell(f"after {job.task}")


@jp.middleware
def inside(job, call_next):
    assert current_job() is job
    return call_next() + 1


@jp.task(executor="process", name="sum", on_success=lambda job, result: tell(f"success {result}"))
def add(n: int, base: dict = Depends(shared)) -> int:
    return base["n"] + n


@jp.task(executor="process", name="crash", on_failure=lambda job, error: tell(type(error).__name__))
async def crash(base: dict = Depends(shared)) -> int:
    ctypes.string_at(0)


if __name__ == "__main__":
    with jp.running(concurrency=1):
        assert add.enqueue(1).result(timeout=20) == 42
        try:
            crash.enqueue().result(timeout=20)
        except JobFailed:
            pass
"""

IDLE = """
import os
import time
from pathlib import Path
from jobpipe import Jobpipe

jp = Jobpipe("sqlite:///:memory:")


@jp.task(name="meet", executor="process")
def meet(folder: str, n: int) -> int:
    Path(folder, f"here{n}").touch()
    while len(list(Path(folder).glob("here*"))) < 4:
        time.sleep(0.01)
    return os.getpid()
"""

APP = """
import os
import time
from pathlib import Path
from jobpipe import Jobpipe, current_job

jp = Jobpipe("sqlite:///jobs.db", lease_seconds=2)


@jp.task(executor="process")
def hang() -> str:
    if current_job().token == 1:
        Path("part").write_text(f"{os.getppid()} {os.getpid()}")
        Path("part").rename("pids")
        time.sleep(60)
    return "done"


jp.command("sleep", ["sh", "-c", "echo $PPID $$ > part && mv part pids && exec sleep 60"])
"""

ESCAPED = """
import os
import time
from pathlib import Path
from jobpipe import Jobpipe
from jobpipe.errors import JobFailed

jp = Jobpipe("sqlite:///escaped.db", max_attempts=1)


@jp.task(executor="process")
def escape() -> None:
    gate, key = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.write(key, b"!")
        time.sleep(60)
        os._exit(0)
    Path("pid").write_text(str(pid))
    os.read(gate, 1)
    os._exit(9)


@jp.task
async def next_one() -> str:
    return "runs"


if __name__ == "__main__":
    with jp.running(concurrency=1):
        try:
            escape.enqueue().result(timeout=20)
        except JobFailed as error:
            print(str(error).rpartition(": ")[2])
        print(next_one.enqueue().result(timeout=20))
"""


def test_a_script_may_declare_them_itself(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    for arguments in (["script.py"], ["-m", "script"]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (done.stdout, done.stderr) == ("42 __mp_main__ True\n", "")


def test_what_is_around_an_attempt_is_around_it_there(tmp_path: Path) -> None:
    (tmp_path / "around.py").write_text(AROUND)
    subprocess.run([sys.executable, "around.py"], cwd=tmp_path, check=True, timeout=60)
    told = (tmp_path / "told").read_text().splitlines()
    assert told == [
        "set up in the worker",
        "set up apart",
        "before sum apart",
        "after sum apart",
        "success 42 apart",
        "before crash apart",
        "ProcessDied in the worker",
        "torn down in the worker",
    ]


def test_what_leaves_the_group_of_a_dead_process_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "escaped.py").write_text(ESCAPED)
    done = subprocess.run(
        [sys.executable, "escaped.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert done.stdout == "exited with code 9\nruns\n"


def test_idle_processes_are_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "IDLE_SECONDS", 0.5)
    (tmp_path / "idle_app.py").write_text(IDLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    jp = importlib.import_module("idle_app").jp.configured(url=f"sqlite:///{tmp_path}/idle.db")
    with jp.running(concurrency=4):
        jobs = [jp.enqueue_named("meet", {"folder": str(tmp_path), "n": n}) for n in range(4)]
        pids = [job.result(timeout=ENOUGH_SECONDS) for job in jobs]
        assert len(set(pids)) == 4
        until(lambda: sum(map(is_alive, pids)) == process.IDLE_MAX)
    assert not any(map(is_alive, pids))
    jp.close()


def test_no_process_outlives_its_worker(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    command = [sys.executable, "-m", "jobpipe", "worker", "app:jp"]
    for task in ("app.hang", "sleep"):
        pids = tmp_path / "pids"
        pids.unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, "-m", "jobpipe", "--app", "app:jp", "enqueue", task],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as worker:
            try:
                until(pids.exists)
                parent, child = (int(pid) for pid in pids.read_text().split())
                os.kill(parent, signal.SIGKILL)
                until(lambda child=child: not is_alive(child))
            finally:
                worker.kill()
