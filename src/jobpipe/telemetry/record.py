"""What a record of ``logging`` says, whatever was put into it: bounded, passwords hidden.

Nothing here raises: a record may hold anything, also objects whose ``__str__`` fails.
"""

from __future__ import annotations

import json
import logging
import math
import re
import traceback
from collections.abc import Callable
from itertools import islice
from typing import Any

MASK = "***"
MAX_MESSAGE = 20_000
"""Longest message, and longest traceback, of a record, in characters."""

MAX_DEPTH = 8
"""Deepest nesting of a value that is shown; what lies below is shown as text."""

MAX_ITEMS = 200
"""Most members of a list or an object that are shown."""

EVENT = "jobpipe"
"""The attribute of a record that holds the fields of an event of the catalogue."""

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    EVENT,
}
"""The attributes of a record that are not somebody's own."""

_PASSWORD = re.compile(r"(?<![A-Za-z0-9+.\-])([A-Za-z][A-Za-z0-9+.\-]*://[^\s:/@]*:)\S*@")
_PARAMETER = re.compile(
    r"(?<![\w\-])([\w\-]*(?:password|passwd|passphrase|pwd|secret|token)=)[^\s&;,'\"]+",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|pwd|secret|token|api_?key|authorization", re.IGNORECASE
)
_MAX_INT = 2**63


def message_of(record: logging.LogRecord) -> str:
    """Return the formatted message, shortened."""
    try:
        return shortened(record.getMessage())
    except Exception:  # wrong arguments of a log call must not lose the line
        return text_of(record.msg)


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was said beside the message (``extra=...``)."""
    return {name: value for name, value in record.__dict__.items() if name not in STANDARD}


def error_of(record: logging.LogRecord) -> dict[str, str] | None:
    """Return the exception that was logged: its ``type``, ``message`` and ``traceback``."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return None
    return {
        "type": type(error).__qualname__,
        "message": text_of(error),
        "traceback": traceback_of(error),
    }


def traceback_of(error: BaseException) -> str:
    """Return the traceback as Python prints it, shortened."""
    try:
        return shortened("".join(traceback.format_exception(error)).rstrip())
    except Exception:  # a broken __str__ of the user's
        return type(error).__qualname__


def text_of(value: object) -> str:
    """Return ``str(value)``, shortened."""
    try:
        return shortened(str(value))
    except Exception:  # a broken __str__ of the user's
        return f"<{type(value).__qualname__}>"


def plain(value: Any, text: Callable[[str], str], depth: int = 0) -> Any:
    """Return the value as JSON can say it, with ``text`` applied to every text in it."""
    try:
        return _plain(value, text, depth)
    except Exception:  # it changed under our eyes, or its own code raised
        return f"<{type(value).__qualname__}>"


def masked(value: Any) -> Any:
    """Return the value as JSON can say it, passwords hidden."""
    return plain(value, lambda text: mask_secrets(shortened(text)))


def mask_secrets(text: str) -> str:
    """Return the text with passwords in URLs and in ``password=...`` hidden."""
    if "://" in text:
        text = _PASSWORD.sub(rf"\g<1>{MASK}@", text)
    return _PARAMETER.sub(rf"\g<1>{MASK}", text) if "=" in text else text


def shortened(text: str, most: int = MAX_MESSAGE) -> str:
    """Return the beginning and the end of a long text."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


def storable(text: str) -> str:
    """Escape what a store cannot hold: NUL and lone surrogates."""
    if type(text) is str and text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def to_json(value: Any) -> str:
    """Return JSON text of what ``plain`` returned."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any, text: Callable[[str], str], depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int) and -_MAX_INT <= value < _MAX_INT:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            members = islice(value.items(), MAX_ITEMS)
            return {
                text(text_of(name)): plain(_hidden(name, part), text, depth + 1)
                for name, part in members
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [plain(part, text, depth + 1) for part in islice(value, MAX_ITEMS)]
    return text(text_of(value))


def _hidden(name: object, value: Any) -> Any:
    """Hide a text that stands under a name for secrets."""
    is_secret = isinstance(value, str) and isinstance(name, str) and _SECRET_NAME.search(name)
    return MASK if is_secret else value
