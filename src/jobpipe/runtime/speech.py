"""What one attempt says while it runs: numbered, bounded, handed to a voice as it is said.

Nothing is taken once the attempt is over: lines are dropped without a word, progress and state
raise LeaseLost. Safe in any thread; nothing here waits for the store.

A log that is full keeps what it has; of what follows the last lines are kept beside it and
written when the attempt ends, with a line that tells how many were dropped between.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from jobpipe.errors import LeaseLost, PayloadTooLarge
from jobpipe.model.job import Claimed
from jobpipe.model.report import Checkpoint, LogLine, Progress
from jobpipe.tasks import wire
from jobpipe.tasks.codec import encode_plain
from jobpipe.telemetry.record import mask_secrets, shortened, storable

LINE_MAX = 16 * 1024
"""Longest message of a line, and largest fields of one, in bytes."""

LAST_LINES = 50
"""Most lines kept from the end of a log that is full."""

LAST_SHARE = 8
"""They may fill one part in so many of the bytes that a log may have."""

NOTE_MAX = 500
"""Longest note of a progress, in characters."""

PRINT = "print"
"""The name under which printed lines stand in a job's log."""

OURS = "jobpipe"
"""The name under which we speak in a job's log."""


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """The settings that concern what jobs say."""

    level: int = logging.INFO
    """The least grave line that is kept."""
    lines: int = 1_000
    """Most lines of an attempt's log; 0 keeps none."""
    bytes: int = 1024 * 1024
    """Most bytes of their messages and fields."""
    max_payload: int = 1024 * 1024
    """Most bytes of a job's state."""
    prints: bool = False
    """Whether what is printed is kept too."""


DEFAULTS = SpeechOptions()


class Voice(Protocol):
    """Takes what a running job says; never blocks, and may be called from any thread."""

    def line(self, line: LogLine) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def checkpoint(self, checkpoint: Checkpoint) -> None: ...

    def written(self, job_id: int, token: int) -> Future[None]:
        """Return what ends when all that the attempt has said is written."""
        ...


class Speech:
    """What one attempt has said, as far as that matters for what it may say next."""

    __slots__ = (
        "_bytes",
        "_dropped",
        "_full",
        "_job",
        "_last",
        "_last_bytes",
        "_lock",
        "_number",
        "_over",
        "_process",
        "_voice",
        "options",
        "printed",
    )

    def __init__(
        self, claimed: Claimed, voice: Voice | None = None, options: SpeechOptions = DEFAULTS
    ) -> None:
        self.options = options
        self.printed: dict[str, str] = {}
        """The line that is being printed, by stream."""
        self._job = claimed
        self._voice = voice
        self._lock = threading.RLock()  # a finalizer may log in the middle of our own line
        self._process = os.getpid()
        self._over = voice is None
        self._full = False
        self._number = self._bytes = self._dropped = self._last_bytes = 0
        self._last: deque[LogLine] = deque()

    @property
    def is_open(self) -> bool:
        """Tell whether anything is taken; not so in a process that the task has forked."""
        return not self._over and self._process == os.getpid()

    def line(
        self,
        level: int,
        logger: str,
        message: str,
        fields: str | None = None,
        at_ns: int | None = None,
    ) -> None:
        """Add a line to the log; ``fields`` are a JSON object."""
        at = time.monotonic_ns() if at_ns is None else at_ns
        if not self.options.lines or not self.is_open:
            return
        message = cut(storable(message))
        size = _size(message) + _size(fields or "")
        line = LogLine(self._job.id, self._job.token, 0, at, level, logger[:200], message, fields)
        with self._lock:
            if self._over:
                return
            room = self._bytes + size <= self.options.bytes
            if not self._full and room and self._number < self.options.lines:
                self._bytes += size
                self._tell(line)
            else:
                self._overflow(line, size)

    def progress(self, done: float, total: float | None, note: str | None) -> None:
        """Say how far the attempt is; raises LeaseLost when it is over."""
        if note is not None:
            note = storable(mask_secrets(shortened(str(note), NOTE_MAX)))
        count = None if total is None else _finite("total", total)
        said = Progress(self._job.id, self._job.token, _finite("done", done), count, note)
        with self._lock:
            if self._may_speak() and self._voice is not None:
                self._voice.progress(said)

    def save(self, state: object) -> str:
        """Save the state for the next attempt and return its JSON text.

        Raises InvalidArguments or PayloadTooLarge when it cannot be kept, LeaseLost when the
        attempt is over.
        """
        text = encode_plain("job.state", state)
        size, limit = _size(text), self.options.max_payload
        if size > limit:
            raise PayloadTooLarge(
                f"job {self._job.id} ({self._job.task}): job.state needs {size} bytes;"
                f" at most {limit} are allowed"
            )
        with self._lock:
            if self._may_speak() and self._voice is not None:
                self._voice.checkpoint(Checkpoint(self._job.id, self._job.token, text))
        return text

    def relay(
        self, line: LogLine | None, progress: Progress | None, checkpoint: Checkpoint | None
    ) -> None:
        """Say what the attempt has said in a process of its own; too late is fine."""
        with suppress(LeaseLost):
            if line is not None:
                self.line(line.level, line.logger, line.message, line.fields, line.at_ns)
            if progress is not None:
                self.progress(progress.done, progress.total, progress.note)
            if checkpoint is not None:
                self.save(wire.read(checkpoint.state))

    def close(self) -> None:
        """Hand over what is still kept: the attempt is over. Twice is fine."""
        if self._over:
            return
        with self._lock:
            for text in list(self.printed.values()):
                if text:
                    self.line(logging.INFO, PRINT, text)
            self.printed.clear()
            if self._dropped:
                self._add(f"{self._dropped} lines were dropped here: the log was full")
            for line in self._last:
                self._tell(line)
            self._last.clear()
            self._dropped = self._last_bytes = 0
            self._over = True

    def reopen(self) -> None:
        """Take more after all: what should have ended the attempt did not."""
        self._over = self._voice is None

    def written(self) -> Future[None]:
        """Return what ends when all that was said is written."""
        if self._voice is not None and self._process == os.getpid():
            return self._voice.written(self._job.id, self._job.token)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def end(self) -> None:
        """Take no more and hand over no more: the store refuses this attempt."""
        self._over = True

    def _may_speak(self) -> bool:
        if self._over and self._voice is not None:
            raise LeaseLost(f"this attempt of job {self._job.id} is over (token {self._job.token})")
        return self.is_open

    def _overflow(self, line: LogLine, size: int) -> None:
        if not self._full:
            self._full = True
            self._add(
                "the log is full (JOBPIPE_JOB_LOG_LINES, JOBPIPE_JOB_LOG_BYTES): of what follows"
                " the last lines are written when the attempt ends"
            )
        self._last.append(line)
        self._last_bytes += size
        while (
            len(self._last) > LAST_LINES
            or self._last_bytes > self.options.bytes // LAST_SHARE
            or (self._last and len(self._last) > self.options.lines)
        ):
            gone = self._last.popleft()
            self._last_bytes -= _size(gone.message) + _size(gone.fields or "")
            self._dropped += 1

    def _add(self, message: str) -> None:
        at = self._last[0].at_ns if self._last else time.monotonic_ns()
        job = self._job
        self._tell(LogLine(job.id, job.token, 0, at, logging.WARNING, OURS, message))

    def _tell(self, line: LogLine) -> None:
        assert self._voice is not None  # without one nothing was ever taken
        self._number += 1
        self._voice.line(
            LogLine(
                line.job_id,
                line.token,
                self._number,
                line.at_ns,
                line.level,
                line.logger,
                line.message,
                line.fields,
            )
        )


def _finite(name: str, number: float) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"progress: {name} must be a finite number, not {value}")
    return value


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def cut(text: str) -> str:
    """Shorten a line that is too long; what is left out is told."""
    if len(text) * 4 <= LINE_MAX or _size(text) <= LINE_MAX:
        return text
    kept = text.encode()[: LINE_MAX - 40].decode(errors="ignore")
    return f"{kept} ... {len(text) - len(kept)} characters left out"
