"""Listens to what jobs log and print in this process, for as long as a worker works in it.

Records are taken where every logger hands them to its handlers, not by a handler of the root
logger: so ``basicConfig``, ``dictConfig`` and ``propagate = False`` keep their meaning, before and
after. Outside of a job a record costs one look at a context variable.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO, TypeAlias

from jobpipe.runtime.context import job_here
from jobpipe.runtime.job_log import is_unheard, take, unheard
from jobpipe.runtime.speech import LINE_MAX, PRINT, Speech
from jobpipe.telemetry.record import mask_secrets, shortened

PRINT_MAX = 64 * LINE_MAX
"""Longest text of one write that is looked at in full, in characters."""

Handle: TypeAlias = Callable[[logging.Logger, logging.LogRecord], None]

HANDLING = "callHandlers"
"""The method of every logger that hands a record to its handlers."""


class Listening:
    """What is heard in this process; begun by the first worker, ended by the last."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._listeners = 0
        self._printers = 0
        self._theirs: Handle | None = None
        self._ours: Handle | None = None
        self._streams: dict[str, Ear] = {}

    def begin(self, *, prints: bool) -> Callable[[], None]:
        """Listen; returns how to end that, where twice is fine."""
        with self._gate:
            self._listeners += 1
            self._printers += prints
            self._adjust()
        ended = False

        def end() -> None:
            nonlocal ended
            with self._gate:
                if not ended:
                    ended = True
                    self._listeners -= 1
                    self._printers -= prints
                    self._adjust()

        return end

    def _adjust(self) -> None:
        now = getattr(logging.Logger, HANDLING)
        if self._listeners and self._ours is None:
            self._theirs, self._ours = now, _heard(now)
            setattr(logging.Logger, HANDLING, self._ours)
        elif not self._listeners and now is self._ours:
            # Where somebody else stands before us we stay: without jobs we hear nothing.
            setattr(logging.Logger, HANDLING, self._theirs)
            self._theirs = self._ours = None
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if self._printers and stream is not None and name not in self._streams:
                self._streams[name] = Ear(stream, name)
                setattr(sys, name, self._streams[name])
            elif not self._printers and name in self._streams:
                ear = self._streams.pop(name)
                if stream is ear:
                    setattr(sys, name, ear.stream)


listening = Listening()


def _heard(handle: Handle) -> Handle:
    def take_and_handle(logger: logging.Logger, record: logging.LogRecord) -> None:
        job = job_here()
        if job is None or is_unheard():
            handle(logger, record)
            return
        take(record, job.speech)
        with unheard():  # what a handler does with the record is not said by the job
            handle(logger, record)

    return take_and_handle


class Ear:
    """Stands for a standard stream: writes to it, and hears what a job writes."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self.stream = stream
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, and keep what a job has written."""
        written = self.stream.write(text)
        job = job_here()
        if job is not None and job.speech.is_open and not is_unheard():
            with unheard():
                hear_print(job.speech, self._name, text)
        return written

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)


def hear_print(speech: Speech, stream: str, text: str) -> None:
    """Keep the lines that a write has ended; the rest waits for its end."""
    *ended, rest = (speech.printed.pop(stream, "") + shortened(text, PRINT_MAX)).split("\n")
    if len(rest) > LINE_MAX:
        ended.append(rest)
        rest = ""
    for line in ended:
        # Of a line that was written over again and again, people see the last state.
        shown = line.rstrip("\r").rpartition("\r")[2]
        speech.line(logging.INFO, PRINT, mask_secrets(shown))
    if rest:
        speech.printed[stream] = rest
