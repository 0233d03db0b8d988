"""Readers of single values: text or an already typed value in, a checked value out.

Each raises ``ValueError`` with the reason alone; whoever calls adds the key, the value and what is
allowed. A reason never repeats a value that may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from jobpipe.config.settings import QueueSlots
from jobpipe.policy.duration import parse_number
from jobpipe.policy.retention import Retention, parse_retention
from jobpipe.policy.retry import ExponentialDelays, ListDelays, RetryDelays, parse_delays

Reader = Callable[[object], object]
Number = TypeVar("Number", int, float)

MAX_SLOTS = 10_000
MAX_QUEUES = 1_000

_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_SIZE = re.compile(r"(\d{1,12}) ?(KiB|MiB)?", re.ASCII | re.IGNORECASE)
_SIZE_UNITS = {"kib": 1024, "mib": 1024 * 1024}
_SWITCH = {"on": True, "true": True, "yes": True, "1": True} | {
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,199}")


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like this one."""
    import difflib

    return difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.0)[0]


def read_text(value: object) -> str:
    """Printable text, stripped; it may be empty."""
    if not isinstance(value, str):
        raise ValueError("not a text")
    text = value.strip()
    if not text.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return text


def optional(read: Reader) -> Reader:
    """A reader that also takes `none` or nothing, for None."""

    def read_optional(value: object) -> object:
        if isinstance(value, str) and value.strip().lower() in ("", "none"):
            return None
        return read(value)

    return read_optional


def whole(lowest: int, highest: int) -> Reader:
    """A reader of whole numbers in a range."""

    def read_whole(value: object) -> int:
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("not a whole number in range")
        return _within(value, lowest, highest)

    return read_whole


def seconds(lowest: float, highest: float) -> Reader:
    """A reader of seconds in a range, fractions allowed."""

    def read_seconds(value: object) -> float:
        return _within(float(parse_number(value)), lowest, highest)

    return read_seconds


def size(lowest: int, highest: int) -> Reader:
    """A reader of a number of bytes in a range."""

    def read_size(value: object) -> int:
        if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            value = int(match[1]) * _SIZE_UNITS.get((match[2] or "").lower(), 1)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("not a number of bytes")
        return _within(value, lowest, highest)

    return read_size


def format_size(value: object) -> str:
    """The bytes as ``read_size`` takes them, in the largest unit that is exact."""
    for unit, factor in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if isinstance(value, int) and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def choice(*words: str) -> Reader:
    """A reader of one word out of a few, in any case."""

    def read_choice(value: object) -> str:
        word = read_text(value).lower()
        if word not in words:
            raise ValueError(f"the nearest known word is {nearest(word, words)!r}")
        return word

    return read_choice


def read_switch(value: object) -> bool:
    """On or off, also as a truth value."""
    if isinstance(value, bool):
        return value
    word = read_text(value).lower()
    if word not in _SWITCH:
        raise ValueError("neither on nor off")
    return _SWITCH[word]


def format_switch(value: object) -> str:
    """The switch as ``read_switch`` takes it."""
    return "on" if value else "off"


def read_address(value: object) -> str:
    """Where to listen, as `host:port`; a port alone is one of this machine only."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    host, _, port = read_text(value).rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise ValueError("not a port")
    return f"{host or '127.0.0.1'}:{int(port)}"


def read_identifier(value: object) -> str:
    """A name that is safe as a part of SQL names."""
    text = read_text(value)
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError("not an identifier")
    return text


def read_app(value: object) -> str:
    """Where the application stands: a module or the path of a file, with ``:attribute`` or not."""
    text = read_text(value)
    place, colon, attribute = text.partition(":")
    named = [*attribute.split(".")] if colon else []
    if not place.endswith(".py"):
        named += place.split(".")
    if not all(part.isidentifier() for part in named):
        raise ValueError("not of the form `module:attribute` or `app.py`")
    return text


def read_queues(value: object) -> tuple[QueueSlots, ...]:
    """Queues in order, each with its slots, from text or from a sequence."""
    if isinstance(value, str):
        entries: Sequence[object] = read_text(value).split(",")
    elif isinstance(value, Sequence):
        entries = value
    else:
        raise ValueError("not a list of queues")
    if not 1 <= len(entries) <= MAX_QUEUES:
        raise ValueError(f"a worker takes 1 to {MAX_QUEUES} queues")
    queues = tuple(_read_queue(entry) for entry in entries)
    names = [queue.name for queue in queues]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the queue {name!r} stands there twice")
    return queues


def format_queues(value: object) -> str:
    """The queues as ``read_queues`` takes them."""
    return ",".join(
        queue.name if queue.slots is None else f"{queue.name}:{queue.slots}"
        for queue in read_queues(value)
    )


def read_variables(value: object) -> tuple[str, ...]:
    """Names of environment variables, from text or from a sequence."""
    names = read_text(value).split(",") if isinstance(value, str) else value
    if not isinstance(names, Sequence):
        raise ValueError("not a list of names")
    variables = tuple(read_text(name) for name in names if name != "")
    for name in variables:
        if name != "*" and not _VARIABLE.fullmatch(name):
            raise ValueError("not a name of a variable")
    return variables


def format_variables(value: object) -> str:
    """The names as ``read_variables`` takes them."""
    return ",".join(read_variables(value))


def read_delays(value: object) -> RetryDelays:
    """Retry delays from text, a sequence or delays."""
    if isinstance(value, ListDelays | ExponentialDelays):
        return parse_delays(str(value))
    if not isinstance(value, str | Sequence):
        raise ValueError("neither a text nor a list")
    return parse_delays(value)


def read_retention(value: object) -> Retention:
    """Retention from text, a table or a retention."""
    if isinstance(value, Retention):
        return parse_retention(str(value))
    if not isinstance(value, str | Mapping):
        raise ValueError("neither a text nor a table")
    return parse_retention(value)


def _read_queue(entry: object) -> QueueSlots:
    if isinstance(entry, QueueSlots):
        name, slots = entry.name, None if entry.slots is None else str(entry.slots)
    else:
        name, colon, count = read_text(entry).partition(":")
        name, slots = name.strip(), count if colon else None
    if name != "*" and not _QUEUE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a queue")
    if slots is None:
        return QueueSlots(name, None)
    if not _WHOLE.fullmatch(slots.strip()) or not 1 <= int(slots) <= MAX_SLOTS:
        raise ValueError(f"the slots of {name!r} are not 1 to {MAX_SLOTS}")
    return QueueSlots(name, int(slots))


def _within(number: Number, lowest: Number, highest: Number) -> Number:
    if not lowest <= number <= highest:
        raise ValueError("out of range")
    return number
