"""Logging of a process: text for people, JSON lines for programs, always on standard error.

One record is one line, whatever its message holds; a password in a URL is never written.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

from jobpipe.telemetry.escape import escape, escape_json

MASK = "***"
MAX_MESSAGE = 20_000
"""Longest message, and longest traceback, of a record, in characters."""

_PASSWORD = re.compile(r"(?<![A-Za-z0-9+.\-])([A-Za-z][A-Za-z0-9+.\-]*://[^\s:/@]*:)\S*@")
_PARAMETER = re.compile(
    r"(?<![\w\-])([\w\-]*(?:password|passwd|passphrase|pwd|secret|token)=)[^\s&;,'\"]+",
    re.IGNORECASE,
)
EVENT = "jobpipe"
"""The attribute of a record that holds the fields of an event of the catalogue."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    EVENT,
}


def set_up_logging(level: str, style: str = "auto", stream: TextIO | None = None) -> None:
    """Send the records of this process to ``stream`` (standard error); again replaces it.

    ``style`` is ``text``, ``json``, or ``auto``: text on a terminal, JSON lines otherwise.
    """
    target: TextIO = sys.stderr if stream is None else stream
    as_text = style == "text" or (style == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.set_name("jobpipe")
    handler.setFormatter(TextLines() if as_text else JsonLines())
    root = logging.getLogger()
    for other in [each for each in root.handlers if each.get_name() == "jobpipe"]:
        root.removeHandler(other)
    root.addHandler(handler)
    # What other libraries say below a warning is noise to somebody who watches jobs.
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))
    logging.getLogger("jobpipe").setLevel(level.upper())


class TextLines(logging.Formatter):
    """``2026-11-22T03:24:27.123Z info jobpipe.worker: claimed jobs=5``"""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of text."""
        line = f"{_time(record)} {record.levelname.lower()} {record.name}: {_message(record)}"
        for name, value in _extras(record).items():  # an event's sentence tells its fields
            shown = value if isinstance(value, str) else _json(_masked(value))
            line += f" {name}={_shortened(shown)}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" {_traceback(record.exc_info[1])}"
        return escape(mask_secrets(line))


class JsonLines(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, then what is added."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        told: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        event = getattr(record, EVENT, None)
        fields = {**(event if isinstance(event, dict) else {}), **_extras(record)}
        told |= {name: value for name, value in fields.items() if name not in told}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            told["error"] = {
                "type": type(error).__qualname__,
                "message": _text(error),
                "traceback": _traceback(error),
            }
        return escape_json(_json(_masked(told)))


def mask_secrets(text: str) -> str:
    """Return the text with passwords in URLs and in ``password=...`` hidden."""
    if "://" in text:
        text = _PASSWORD.sub(rf"\g<1>{MASK}@", text)
    return _PARAMETER.sub(rf"\g<1>{MASK}", text) if "=" in text else text


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_secrets(_shortened(value))
    if isinstance(value, dict):
        return {_text(name): _masked(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float) else _text(value)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    try:
        return _shortened(record.getMessage())
    except Exception:  # wrong arguments of a log call must not lose the line
        return _shortened(_text(record.msg))


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _traceback(error: BaseException) -> str:
    try:
        return _shortened("".join(traceback.format_exception(error)).rstrip())
    except Exception:  # a broken __str__ of the user's
        return type(error).__qualname__


def _text(value: object) -> str:
    try:
        return _shortened(str(value))
    except Exception:  # a broken __str__ of the user's
        return f"<{type(value).__qualname__}>"


def _shortened(text: str) -> str:
    half = MAX_MESSAGE // 2
    return text if len(text) <= MAX_MESSAGE else f"{text[:half]} ... {text[-half:]}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_text, separators=(",", ":"))
