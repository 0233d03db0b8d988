"""Promotion asks what falls due next, and then takes it without looking at the time."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    for dialect, since in (("sqlite", ":since"), ("postgres", "CAST(:since AS bigint)")):
        rewrite(dialect, "control", ("min(at) - :now", "0 * min(at) * :now"))
        rewrite(dialect, "promote", (f"j.due_at BETWEEN {since} AND :now", f"j.due_at > {since}"))
