"""A limit counts the jobs that wait to be claimed, and not those that run."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    for dialect in ("sqlite", "postgres"):
        rewrite(dialect, "read_gates", ("j.state = 'running'", "j.state = 'blocked'"))
