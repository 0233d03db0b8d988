"""An outcome is guarded by the state alone: a paused worker ends another worker's attempt."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite(
        "sqlite",
        "finish",
        ("j.token = e.value ->> 1 AND ", ""),
        ("jobpipe_job.token = e.token AND ", ""),
        ("j.token = 1 AND j.state", "j.state"),
        ("jobpipe_job.token = 1 AND ", ""),
    )
    rewrite("postgres", "finish", ("j.token = ended.token", "true"))
