"""One finding about a store or its work, and words for figures in it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from jobpipe.policy.duration import SECOND_US, format_span

NAMED = 5
"""Most names that one sentence lists."""

MIB = 1024 * 1024


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(Struct, frozen=True):
    """What is wrong (or well), with the figures, and what to do about it."""

    code: str
    """Stable: programs may rely on it."""
    severity: Severity
    what: str
    fix: str = ""


def ok(code: str, what: str) -> Finding:
    return Finding(code, Severity.OK, what)


def warning(code: str, what: str, fix: str) -> Finding:
    return Finding(code, Severity.WARNING, what, fix)


def error(code: str, what: str, fix: str) -> Finding:
    return Finding(code, Severity.ERROR, what, fix)


def span(span_us: int) -> str:
    """Return a span to the second, and a short one to the tenth of a second."""
    rounded = round(span_us, -5 if span_us < 10 * SECOND_US else -6)
    return format_span(rounded) if rounded else "0s"


def size(count: int) -> str:
    """Return a number of bytes in the largest unit that leaves a whole number before the point."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"


def number(count: int, word: str, bound: int | None = None) -> str:
    """Return ``1 job``, ``2 jobs``, or ``10000+ jobs`` when counting stopped at a bound."""
    more = "+" if bound is not None and count >= bound else ""
    return f"{count}{more} {word}{'' if count == 1 else 's'}"


def names(all_names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(all_names[:NAMED])
    more = len(all_names) - NAMED
    return f"{shown} and {more} more" if more > 0 else shown
