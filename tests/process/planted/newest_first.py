"""A claim takes the newest job of a lane."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite("sqlite", "claim", ("    LIMIT :limit", "    ORDER BY j.rank DESC LIMIT :limit"))
    rewrite("postgres", "claim", ("ORDER BY j.rank", "ORDER BY j.rank DESC"))
