"""A job that failed and is to be retried has lost its turn in its group."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    for dialect in ("sqlite", "postgres"):
        rewrite(dialect, "read_gates", ("'scheduled', 'retrying', 'parked'", "'parked'"))
