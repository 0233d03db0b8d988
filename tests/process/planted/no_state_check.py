"""An outcome is guarded by its token alone: written twice, it counts twice."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite(
        "sqlite",
        "finish",
        (" AND j.state = 'running'", ""),
        (" AND jobpipe_job.state = 'running'", ""),
    )
