"""Starts a system's program: a verb that answers, or workers that run until they are stopped.

Each process has a session of its own, so that what it leaves behind can be ended with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

VERB_SECONDS = 180.0
STOP_SECONDS = 15.0
LOG_TAIL = 1_500


class ProgramFailed(Exception):
    """A program ended with an error, said nothing, or took too long; the text tells which."""


class Program:
    """One verb of one system's program while it runs."""

    def __init__(
        self,
        command: list[str],
        verb: str,
        given: Mapping[str, Any],
        folder: Path,
        *,
        answers: bool = True,
    ) -> None:
        self.verb = verb
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with us
        self._process = subprocess.Popen(
            [*command, verb, json.dumps(given)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if answers else self._log,
            stderr=self._log,
            cwd=folder,
            start_new_session=True,
            env=_environment(),
        )
        self.pid = self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def answer(self, seconds: float = VERB_SECONDS) -> dict[str, Any]:
        """Wait for the end and return the object in the last line.

        Raises ProgramFailed.
        """
        try:
            out, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProgramFailed(
                f"{self.verb} took more than {seconds:.0f} s\n{self.tail()}"
            ) from None
        if self._process.returncode:
            raise ProgramFailed(f"{self.verb} ended with {self._process.returncode}\n{self.tail()}")
        try:
            answer: dict[str, Any] = json.loads(out.decode().strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise ProgramFailed(f"{self.verb} gave no answer\n{self.tail()}") from None
        return answer

    def until_said(self, word: str) -> None:
        """Wait until the program prints a line that is this word."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.decode().strip() == word:
                return
        raise ProgramFailed(f"{self.verb} ended before it was ready\n{self.tail()}")

    def stop(self) -> None:
        """Ask the program to end; what has not ended in time is killed."""
        if not self.ended:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self.kill()

    def kill(self) -> None:
        """End the program with all that it started in its session."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.communicate()

    def tail(self) -> str:
        """Return the last of what it said on the standard error; nothing once it is closed."""
        if self._log.closed:
            return ""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-LOG_TAIL:].strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._log.close()


def _environment() -> dict[str, str]:
    """Leave out what would steer a system behind its program's back."""
    steering = ("JOBPIPE_", "PG", "DATABASE_URL", "REDIS_URL", "RABBITMQ_URL", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return kept | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONUNBUFFERED": "1"}
