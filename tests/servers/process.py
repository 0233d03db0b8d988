"""One server process of ours: its folder, its port, the account it runs under, and its end.

A server is only ever stopped by the pid that was started here. Should the test run itself be
killed, a guard (a tiny process that waits for our end of a pipe to close) ends the server.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

READY_SECONDS = 120
"""A server that comes back from a crash may have to wait for a busy disk."""
END_SECONDS = 30
STEP_SECONDS = 0.02
PORTS = range(20_000, 32_000)
"""Below the ports that systems hand to clients, so that a restart finds its port free."""

GUARD = """
import os, shutil, signal, sys
if not sys.stdin.buffer.read(1):
    try:
        os.kill(int(sys.argv[1]), signal.SIGQUIT)
    except ProcessLookupError:
        pass
    shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    for port in random.SystemRandom().sample(PORTS, k=200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {PORTS.start} and {PORTS.stop}")


class ServerFolder:
    """A temporary folder that belongs to the account under which the server runs."""

    def __init__(self, name: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"jobpipe-{name}-", dir="/tmp"))
        self.account = _account()
        if self.account:
            os.chown(self.path, self.account.pw_uid, self.account.pw_gid)

    def write(self, name: str, text: str) -> Path:
        """Write a file that the server can read."""
        file = self.path / name
        file.write_text(text, encoding="utf-8")
        if self.account:
            os.chown(file, self.account.pw_uid, self.account.pw_gid)
        return file

    def spawn_options(self) -> dict[str, Any]:
        """Return the arguments of ``subprocess`` that make a process run here."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.path),
            "LC_ALL": "C",
        }
        options: dict[str, Any] = {"cwd": self.path, "env": environment}
        if self.account:
            options |= {
                "user": self.account.pw_uid,
                "group": self.account.pw_gid,
                "extra_groups": [],
            }
        return options

    def remove(self) -> None:
        """Delete the folder with all it holds."""
        shutil.rmtree(self.path, ignore_errors=True)


class ServerProcess:
    """A running server, from the start to the end of its process."""

    def __init__(self, folder: ServerFolder, command: Sequence[str | Path]) -> None:
        self.name = Path(command[0]).name
        self.log = folder.path / f"{self.name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **folder.spawn_options(),
            )
        self.pid = self._process.pid
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-c", GUARD, str(self.pid), str(folder.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def ended(self) -> bool:
        """Whether the process is gone, whoever ended it."""
        return self._process.poll() is not None

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait until ``ready`` says so; fail when the process ends or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if self.ended or time.monotonic() > deadline:
                self.end(signal.SIGKILL)
                raise RuntimeError(f"{self.name} did not start:\n{self._log_tail()}")
            time.sleep(STEP_SECONDS)

    def end(self, with_signal: signal.Signals) -> None:
        """Send the signal, wait for the end of the process (forced after 30 s)."""
        try:
            self._process.send_signal(with_signal)
            self._process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._guard.communicate(b"d")

    def _log_tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]


def _account() -> pwd.struct_passwd | None:
    """Return the account for the servers: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("neither the account postgres nor nobody exists")
