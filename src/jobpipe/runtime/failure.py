"""What is kept of an exception: type, message and the whole chain, bounded; never raises."""

from __future__ import annotations

import traceback
from types import TracebackType

import msgspec

OURS = "jobpipe.runtime."

MESSAGE_MAX = 4_000
"""Longest kept message, in characters."""

TRACEBACK_MAX = 64_000
"""Longest kept traceback, in characters: its beginning and its end."""

FRAMES_MAX = 60
"""Most frames kept of each exception in the chain: the last ones."""


def describe(error: BaseException, limit: int) -> str:
    """Return the JSON object {type, message, traceback} of at most ``limit`` bytes."""
    message = _message(error)
    try:
        lines = traceback.format_exception(
            type(error), error, _below_ours(error.__traceback__), limit=-FRAMES_MAX
        )
        trace = _shorten("".join(_shorten(line, TRACEBACK_MAX) for line in lines), TRACEBACK_MAX)
    except Exception as broken:
        trace = f"<formatting the traceback raised {type(broken).__name__}>"
    return to_json(type(error).__qualname__, message, trace, limit)


def brief(error: BaseException) -> str:
    """Return type and message on one line for an event; never raises."""
    text = f"{type(error).__name__}: {_message(error)}".rstrip(": ")
    return " ".join(text.split())


def to_json(kind: str, message: str, trace: str, limit: int) -> str:
    """Return the JSON object of a failure, shortened until it fits into ``limit`` bytes."""
    message = _shorten(_printable(_shorten(message, MESSAGE_MAX)), MESSAGE_MAX)
    trace = _printable(trace)
    while True:
        parts = {"type": _printable(kind[:200]), "message": message, "traceback": trace}
        data = msgspec.json.encode(parts)
        if len(data) <= limit:
            return data.decode()
        if trace:
            trace = _shorten(trace, len(trace) // 2) if len(trace) > 200 else ""
        else:
            message = message[: len(message) // 2]


def _message(error: BaseException) -> str:
    try:
        return _shorten(str(error), MESSAGE_MAX)
    except Exception as broken:
        return f"<str() of the exception raised {type(broken).__name__}>"


def _below_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of the worker itself, which tell a reader nothing."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(OURS):
        trace = trace.tb_next
    return trace


def _printable(text: str) -> str:
    """Escape what a store or a terminal cannot hold: lone surrogates and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _shorten(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    half = max(0, length // 2 - 20)
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
