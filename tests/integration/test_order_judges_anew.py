"""An order about many jobs waits for who changes one of them, and judges it as it is then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobpipe.model.audit import Actor
from jobpipe.model.job import NewJob
from jobpipe.model.operation import OperationAction, OperationParams
from jobpipe.model.state import State
from jobpipe.store.ops import operate, read, steer
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.steer import Patch
from tests.integration.test_report_locks import Party, parties, thread
from tests.waiting import until

__all__ = ["parties", "thread"]

PLAIN = NewJob(task="t", args="{}")


@pytest.mark.parametrize("q", ["priority:0", "queue:default task:t", "-priority:9 -queue:slow"])
def test_a_job_that_the_filter_means_no_longer_is_left_alone(
    parties: list[Party], thread: ThreadPoolExecutor, q: str
) -> None:
    mover, order, _ = parties
    moved, other = (job.id for job in mover.run(enqueue([PLAIN, PLAIN])))
    begun = mover.run(
        operate.begin(OperationAction.CANCEL, q, OperationParams(), Actor("ada", "http"))
    )
    mover.commit()
    assert begun.id is not None
    mover.run(steer.patch(moved, Patch(priority=9, queue="slow")))
    waiting = thread.submit(order.run, operate.advance(begun.id))
    until(lambda: order.waits(mover) or waiting.done())
    assert not waiting.done()
    mover.commit()
    done = waiting.result(20)
    assert done is not None
    assert (done.record.matched, done.record.changed) == (1, 1)
    states = [found.state for id in (moved, other) if (found := order.run(read.job(id)))]
    assert states == [State.QUEUED, State.CANCELLED]
    order.commit()
