"""Starting a worker process: a program of its own, a socket to it, and the page that it writes.

Little is imported here, so that the first worker can begin before its supervisor is ready: it waits
for its welcome, and ends by itself when the supervisor is gone before that.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

from jobpipe.config.service import environment_of_children
from jobpipe.runtime.supervisor.page import Page

CHILD_OPTION = "--child-of"


@dataclass(frozen=True, slots=True)
class Command:
    """How a child is started: this interpreter, and the arguments of the supervisor's program."""

    arguments: Sequence[str]
    is_script: bool
    """It was started as a script, not as a module: the folder it stands in is not looked in."""

    def line(self, descriptors: str) -> list[str]:
        safe = ["-P"] if self.is_script else []
        module = [sys.executable, *safe, "-m", "jobpipe", CHILD_OPTION, descriptors]
        return [*module, *self.arguments]


class Launched:
    """A process that was started and waits for its welcome."""

    def __init__(self, command: Command) -> None:
        """Start it; raises OSError for want of processes or descriptors."""
        with ExitStack() as undo:
            self.page = undo.enter_context(closing(Page.create()))
            self.link, theirs = socket.socketpair()
            undo.enter_context(self.link)
            with theirs:
                self.popen = _start(command, theirs.fileno(), self.page.descriptor)
            undo.pop_all()

    def discard(self) -> None:
        """End it without a welcome."""
        kill_group(self.popen.pid)
        self.popen.wait()
        self.link.close()
        self.page.close()


class Launcher:
    """Starts the processes of one supervisor; the first may be started ahead of it."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._ahead: Launched | None = None

    def launch_ahead(self) -> None:
        """Start one now, if the system has room; the next ``launch`` returns it."""
        with suppress(OSError):
            self._ahead = Launched(self._command)

    def launch(self) -> Launched:
        """Start one; raises OSError for want of processes or descriptors."""
        ahead, self._ahead = self._ahead, None
        return ahead or Launched(self._command)

    def close(self) -> None:
        """End what was started ahead and never asked for."""
        if self._ahead is not None:
            self._ahead.discard()
            self._ahead = None


def _start(command: Command, *descriptors: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
        command.line(",".join(map(str, descriptors))),
        pass_fds=descriptors,
        process_group=0,
        stdin=subprocess.DEVNULL,
        env=environment_of_children(),
    )


def kill_group(pid: int) -> None:
    """Kill a process and its group, if they still are."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
