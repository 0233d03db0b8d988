"""Tells what a verb refuses by the names that it has over HTTP, which are not those of Python."""

from __future__ import annotations

import re

FIELDS = {
    "after": "cursor",
    "before": "cursor",
    "deadline": "deadline_seconds",
    "expires_in": "expires_in_seconds",
    "queue_name": "queue",
    "run_after": "run_at",  # a delay_seconds that is not allowed is refused as part of the body
    "timeout": "timeout_seconds",
}
"""What is called otherwise over HTTP, by its name in Python."""

_REFUSAL = re.compile(r"option (\w+)=(.*) is refused; allowed: (.*)", re.DOTALL)


def in_fields(text: str) -> str:
    """Return what refuses the value of an option, as the caller called that."""
    match = _REFUSAL.fullmatch(text)
    if match is None:
        return text
    name, value, allowed = match.groups()
    shown = "" if value.startswith("datetime.") else f"={value}"
    allowed = allowed.removesuffix(", or a timedelta")
    return f"field {FIELDS.get(name, name)}{shown} is refused; allowed: {allowed}"
