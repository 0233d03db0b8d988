"""A sweep takes back whatever stands in a dead worker's records, whoever has it by now."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite(
        "sqlite",
        "take_back",
        (" AND jobpipe_job.token = held.token AND jobpipe_job.state = 'running'", ""),
    )
    rewrite("postgres", "take_back", ("AND j.token = held.token", ""))
