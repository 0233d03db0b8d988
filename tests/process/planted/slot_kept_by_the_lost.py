"""A job that was given up with its worker keeps its slot for ever."""

from __future__ import annotations

from jobpipe.model.state import State
from jobpipe.store.ops import gates
from jobpipe.store.ops.gate_book import Standing
from jobpipe.store.ops.look import Looked
from tests.process.planted.statements import rewrite


def plant() -> None:
    holds = gates._holds

    def holds_when_lost(job: Looked, gate: Standing) -> bool:
        return job.state is State.FAILED or holds(job, gate)

    gates._holds = holds_when_lost
    for dialect in ("sqlite", "postgres"):
        rewrite(dialect, "read_gates", ("j.state = 'running'", "j.state IN ('running', 'failed')"))
