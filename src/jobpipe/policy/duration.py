"""Spans of time as people write them (``10m``, ``1h30m``, ``7d``, ``2.5``), in microseconds.

Reckoned in decimals, so that ``0.1`` is exactly 100,000; never negative, never endless.
"""

from __future__ import annotations

import re
from decimal import Decimal

SECOND_US = 1_000_000
UNITS_US = {
    "w": 7 * 86_400 * SECOND_US,
    "d": 86_400 * SECOND_US,
    "h": 3_600 * SECOND_US,
    "m": 60 * SECOND_US,
    "s": SECOND_US,
}
MAX_SPAN_US = 100 * 365 * UNITS_US["d"]
SPAN_ALLOWED = "seconds (`2.5`) or amounts with the units w d h m s, largest first (`1h30m`)"

_AMOUNT = r"\d{1,15}(?:\.\d{1,15})?"
_NUMBER = re.compile(_AMOUNT, re.ASCII)
_SPAN = re.compile("".join(f"(?:({_AMOUNT}){unit})?" for unit in UNITS_US), re.ASCII)


def parse_number(value: object) -> Decimal:
    """A finite number that is not negative, from a number or from its plain decimal text."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(text := value.strip()):
            raise ValueError("not a plain number")
        return Decimal(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError("not a finite number")
    if number < 0:
        raise ValueError("negative")
    return number


def format_number(number: float) -> str:
    """The shortest plain decimal text that ``parse_number`` reads back."""
    return f"{Decimal(repr(number)):f}".removesuffix(".0")


def parse_span(value: object) -> int:
    """Microseconds of a span: text with units, or plain seconds as text or number."""
    amounts = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if amounts is not None and any(amounts.groups()):
        pairs = zip(amounts.groups(), UNITS_US.values(), strict=True)
        exact = sum((Decimal(amount) * unit for amount, unit in pairs if amount), Decimal(0))
    else:
        try:
            exact = parse_number(value) * SECOND_US
        except ValueError as error:
            raise ValueError(f"{error}; a span is {SPAN_ALLOWED}") from None
    if exact > MAX_SPAN_US:
        raise ValueError("longer than a hundred years")
    return round(exact)


def format_span(span_us: int) -> str:
    """The shortest text that ``parse_span`` reads back, in days at most (``7d``, ``1h30m``)."""
    if span_us == 0:
        return "0"
    parts = []
    for unit in ("d", "h", "m"):
        count, span_us = divmod(span_us, UNITS_US[unit])
        if count:
            parts.append(f"{count}{unit}")
    if span_us:
        seconds, fraction = divmod(span_us, SECOND_US)
        parts.append(f"{seconds}.{fraction:06}".rstrip("0").rstrip(".") + "s")
    return "".join(parts)
