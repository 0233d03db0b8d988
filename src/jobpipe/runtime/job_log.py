"""From records of ``logging`` to lines of a job's log; and ``job.log``, a logger of the job's own.

Taking a record never raises. What is logged or printed while one is being taken or handled (by a
``__str__``, by a handler that sends records away) is no line of the job, so nothing can go round.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TypeAlias

from jobpipe.runtime.speech import LINE_MAX, Speech
from jobpipe.telemetry.record import (
    STANDARD,
    error_of,
    extras_of,
    mask_secrets,
    message_of,
    plain,
    shortened,
    storable,
    text_of,
    to_json,
)

TEXT_MAX = 4_000
"""Longest text within the fields of a line, in characters."""

_ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)
_thread = threading.local()


@contextmanager
def unheard() -> Iterator[None]:
    """In the block nothing that this thread logs or prints becomes a line."""
    before = is_unheard()
    _thread.unheard = True
    try:
        yield
    finally:
        _thread.unheard = before


def is_unheard() -> bool:
    """Tell whether what this thread says now is no line of a job."""
    return getattr(_thread, "unheard", False)


def take(record: logging.LogRecord, speech: Speech) -> None:
    """Keep the record as a line of the job."""
    if record.levelno < speech.options.level or not speech.is_open or is_unheard():
        return
    with unheard(), suppress(Exception):  # whatever a record holds, logging it never fails
        message = mask_secrets(message_of(record))
        speech.line(record.levelno, storable(text_of(record.name)), message, fields_of(record))


def fields_of(record: logging.LogRecord) -> str | None:
    """Return what was said beside the message, as a JSON object of bounded size."""
    said = extras_of(record)
    if (error := error_of(record)) is not None:
        said = {"error": error} | said
    if record.stack_info:
        said["stack"] = record.stack_info
    return as_fields(said)


def as_fields(said: Mapping[str, Any]) -> str | None:
    """Return the JSON object; members for which there is no room are counted."""
    kept: dict[str, Any] = {}
    room, left_out = LINE_MAX - 100, 0
    for name, value in said.items():
        part = plain({name: value}, _clean)
        size = len(to_json(part).encode())
        if size <= room:
            room -= size
            kept |= part
        else:
            left_out += 1
    if left_out:
        kept["left_out"] = left_out
    return to_json(kept) if kept else None


def _clean(text: str) -> str:
    return storable(mask_secrets(shortened(text, TEXT_MAX)))


class JobLog(logging.Logger):
    """A logger whose records are lines of one job, whatever the configuration of logging.

    They also go where the logger of the task's name sends them. ``job.log("text", rows=5)`` is an
    info with fields.
    """

    def __init__(self, task: str, speech: Speech) -> None:
        super().__init__(task)
        self._speech = speech

    def __call__(self, message: object, *args: object, **fields: object) -> None:
        """Log an info; keywords are the line's fields."""
        if self.isEnabledFor(logging.INFO):
            self._log(logging.INFO, message, args, extra=fields, stacklevel=2)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Tell whether a record of this level goes anywhere."""
        return level >= self._speech.options.level or self._shown.isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Keep the record, and show it where the program's logging shows such records."""
        take(record, self._speech)
        if self._shown.isEnabledFor(record.levelno):
            with unheard():
                self._shown.handle(record)

    def makeRecord(  # noqa: N802
        self,
        name: str,
        level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: _ExcInfo | None,
        func: str | None = None,
        extra: Mapping[str, object] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        """Make a record; a field may have any name, also one that records use themselves."""
        record = super().makeRecord(name, level, fn, lno, msg, args, exc_info, func, None, sinfo)
        for key, value in (extra or {}).items():
            record.__dict__[f"{key}_" if key in STANDARD else key] = value
        return record

    @property
    def _shown(self) -> logging.Logger:
        return logging.getLogger(self.name)
