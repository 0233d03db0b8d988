"""Operations go on after a death at any point of a slice, and do no job twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from jobpipe import Jobpipe
from jobpipe.model.operation import OperationState
from jobpipe.store.ops.operate import SLICE
from tests.waiting import until

APP = """
from jobpipe import Jobpipe

jp = Jobpipe()


@jp.task(name="note")
def note(number: int) -> None: ...
"""
COUNT = 2 * SLICE + 500


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
@pytest.mark.parametrize("point", ["advance.before_commit", "advance.after_commit"])
def test_a_death_within_an_operation_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, store: str, point: str
) -> None:
    """Takes some seconds: the worker dies in each second slice, and begins anew."""
    url = request.getfixturevalue(f"{store}_url")
    tmp_path.joinpath("app.py").write_text(APP, encoding="utf-8")
    jp = Jobpipe(url)

    @jp.task(name="note")
    def note(number: int) -> None:
        raise AssertionError("nobody runs it here")

    jp.pause_queue("default")
    jp.enqueue_many(note.call(number) for number in range(COUNT))
    orders = [jp.cancel_jobs("task:note"), jp.rerun_jobs("task:note state:cancelled,queued")]
    worker = subprocess.Popen(
        [sys.executable, "-m", "jobpipe", "worker", "app:jp"],
        cwd=tmp_path,
        env=os.environ | {"JOBPIPE_URL": url, "JOBPIPE_FAILPOINTS": f"{point}=kill@2"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for op in orders:
            until(lambda op=op: op.refresh().state is not OperationState.RUNNING, 60)  # type: ignore[misc]
    finally:
        worker.terminate()
        said = worker.communicate(timeout=60)[1]
    assert "signal 9" in said or "SIGKILL" in said, said
    cancelled, rerun = (op.record for op in orders)
    assert (cancelled.matched, cancelled.changed) == (COUNT, COUNT)
    records = [job.record for job in jp.jobs(limit=COUNT)]
    reruns = Counter(record.reruns for record in records if record is not None)
    assert set(reruns) <= {0, 1}
    assert reruns[1] == rerun.changed
    jp.close()
