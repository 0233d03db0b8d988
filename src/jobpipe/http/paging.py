"""How lists are read page by page."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from jobpipe.http.problems import Problem

PAGE_MAX = 1_000
"""Most items of a page."""

PageSize = Annotated[int, Meta(ge=1, le=PAGE_MAX)]


def page_cursor(text: str | None) -> int | None:
    """Return the id that a cursor names; raises Problem."""
    if text is None:
        return None
    if not _is_number(text):
        raise _wrong()
    return int(text)


def log_cursor(text: str | None) -> tuple[int, int] | None:
    """Return the line of a log, by token and number, that a cursor names; raises Problem."""
    if text is None:
        return None
    token, _, number = text.partition(":")
    if not (_is_number(token) and _is_number(number)):
        raise _wrong()
    return int(token), int(number)


def tenant_cursor(text: str | None) -> tuple[str, str] | None:
    """Return the tenant, by queue and name, that a cursor names; raises Problem."""
    if text is None:
        return None
    queue, colon, name = text.partition(":")
    if not colon:
        raise _wrong()
    return queue, name


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _wrong() -> Problem:
    return Problem(422, "invalid_query", "cursor is no next_cursor of a page")
