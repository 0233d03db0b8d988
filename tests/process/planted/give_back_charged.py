"""A give-back leaves the attempt on the count."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite("sqlite", "give_back", ("attempt = attempt - 1", "attempt = attempt"))
    rewrite("postgres", "give_back", ("attempt = attempt - 1", "attempt = attempt"))
