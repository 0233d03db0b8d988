"""Logging of a process: text for people, JSON lines for programs, always on standard error.

One record is one line, whatever its message holds; a password in a URL is never written.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from jobpipe.telemetry.escape import escape, escape_json
from jobpipe.telemetry.record import (
    EVENT,
    error_of,
    extras_of,
    mask_secrets,
    masked,
    message_of,
    shortened,
    to_json,
)

OURS = "jobpipe"

Belonging = Callable[[], Mapping[str, Any] | None]
"""Tells what the running code belongs to (its job), or None."""


def _to_nothing() -> None:
    """Where no jobs run, nothing belongs to one."""


def set_up_logging(
    level: str,
    style: str = "auto",
    stream: TextIO | None = None,
    *,
    belonging: Belonging = _to_nothing,
    job_level: str = "warning",
) -> None:
    """Send the records of this process to ``stream`` (standard error); again replaces it.

    ``style`` is ``text``, ``json``, or ``auto``: text on a terminal, JSON lines otherwise.
    What ``belonging`` says is added to each record. Records from ``job_level`` on are made, since
    jobs keep them; which of them are also shown is for ``level`` to say.
    """
    target: TextIO = sys.stderr if stream is None else stream
    as_text = style == "text" or (style == "auto" and target.isatty())
    least = getattr(logging, level.upper())
    handler = logging.StreamHandler(target)
    handler.set_name(OURS)
    handler.setFormatter(TextLines(belonging) if as_text else JsonLines(belonging))
    handler.addFilter(_Shown(least, belonging))
    root = logging.getLogger()
    for other in [each for each in root.handlers if each.get_name() == OURS]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(min(max(logging.WARNING, least), getattr(logging, job_level.upper())))
    logging.getLogger(OURS).setLevel(level.upper())


class _Shown(logging.Filter):
    """Passes what concerns somebody who watches jobs.

    What other libraries say below a warning is noise to him, unless a job of his said it.
    """

    def __init__(self, least: int, belonging: Belonging) -> None:
        super().__init__(OURS)
        self._least = least
        self._belonging = belonging

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < self._least:
            return False
        if record.levelno >= logging.WARNING or super().filter(record):
            return True
        return self._belonging() is not None


class TextLines(logging.Formatter):
    """``2026-11-22T03:24:27.123Z info jobpipe.worker: claimed jobs=5``"""

    def __init__(self, belonging: Belonging = _to_nothing) -> None:
        super().__init__()
        self._belonging = belonging

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of text."""
        line = f"{_time(record)} {record.levelname.lower()} {record.name}: {message_of(record)}"
        # An event's sentence tells its fields.
        for name, value in {**(self._belonging() or {}), **extras_of(record)}.items():
            shown = value if isinstance(value, str) else to_json(masked(value))
            line += f" {name}={shortened(shown)}"
        if (error := error_of(record)) is not None:
            line += f" {error['traceback']}"
        return escape(mask_secrets(line))


class JsonLines(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, then what is added."""

    def __init__(self, belonging: Belonging = _to_nothing) -> None:
        super().__init__()
        self._belonging = belonging

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        told: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
        }
        event = getattr(record, EVENT, None)
        fields = {
            **(self._belonging() or {}),
            **(event if isinstance(event, dict) else {}),
            **extras_of(record),
        }
        told |= {name: value for name, value in fields.items() if name not in told}
        if (error := error_of(record)) is not None:
            told["error"] = error
        return escape_json(to_json(masked(told)))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
