"""A give-back takes two attempts off the count."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite("sqlite", "give_back", ("attempt = attempt - 1", "attempt = attempt - 2"))
    rewrite("postgres", "give_back", ("attempt = attempt - 1", "attempt = attempt - 2"))
