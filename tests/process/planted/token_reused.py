"""A give-back takes the token back too, so that the next claim has the same one."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite(
        "sqlite",
        "give_back",
        ("attempt = attempt - 1,", "attempt = attempt - 1, token = jobpipe_job.token - 1,"),
    )
    rewrite(
        "postgres",
        "give_back",
        ("attempt = attempt - 1,", "attempt = attempt - 1, token = j.token - 1,"),
    )
