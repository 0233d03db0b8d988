"""Begins the service anew whenever a source file changes: for who writes tasks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click
from watchfiles import PythonFilter, watch

from jobpipe.config.service import environment_of_children
from jobpipe.runtime.supervisor.launch import Command

if TYPE_CHECKING:
    from types import FrameType

LOOK_MILLISECONDS = 200
"""How often the process that serves is looked at."""


class Reloading:
    """A process that serves, and another as soon as a file below ``folder`` has changed."""

    def __init__(self, arguments: tuple[str, ...], folder: Path) -> None:
        self._command = Command(arguments, is_script=not sys.argv[0].endswith("__main__.py"))
        self._folder = folder
        self._stop = threading.Event()
        self._received: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Go on until a signal; returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)
        self._start()
        for changes in watch(
            self._folder,
            watch_filter=PythonFilter(extra_extensions=[".toml"]),
            stop_event=self._stop,
            rust_timeout=LOOK_MILLISECONDS,
            yield_on_timeout=True,
        ):
            if changes:
                names = sorted({Path(path).name for _, path in changes})
                click.echo(f"{', '.join(names[:5])} changed: beginning anew", err=True)
                self._end()
                if not self._stop.is_set():
                    self._start()
            elif self._child is not None and self._child.poll() is not None:
                self._child = None
                click.echo("It ended; the next change begins it anew.", err=True)
        self._end()
        return 128 + self._received[1] if len(self._received) > 1 else 0

    def _start(self) -> None:
        self._child = subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
            self._command.line(str(os.getpid())),
            process_group=0,  # Ctrl-C reaches us alone, and we pass it on
            stdin=subprocess.DEVNULL,
            env=environment_of_children(),
        )

    def _end(self) -> None:
        """Stop the process in good order, and wait for its end."""
        if self._child is not None:
            if not self._received:
                self._child.terminate()
            self._child.wait()
            self._child = None

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self._received.append(number)
        self._stop.set()
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
