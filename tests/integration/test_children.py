"""Programs with tasks in processes of their own: scripts, and workers that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

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


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + ENOUGH_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_script_may_declare_them_itself(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    for arguments in (["script.py"], ["-m", "script"]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (done.stdout, done.stderr) == ("42 __mp_main__ True\n", "")


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
            until(pids.exists)
            parent, child = (int(pid) for pid in pids.read_text().split())
            os.kill(parent, signal.SIGKILL)
            until(lambda child=child: not is_alive(child))
            worker.send_signal(signal.SIGKILL)
