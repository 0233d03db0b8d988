"""Settings of queues: bounds, and pauses with an end."""

from __future__ import annotations

import pytest

from jobpipe.errors import QueueFull
from jobpipe.store.ops import queue, read, steer, worker
from jobpipe.store.ops.enqueue import Bounds, enqueue
from jobpipe.store.ops.read import QueueRecord
from tests.conformance.clock import MINUTE
from tests.conformance.lab import Lab, new_job


def test_a_bound_is_set_changed_and_taken_away(lab: Lab) -> None:
    lab.run(queue.limit_queue("mail", 10))
    lab.run(queue.limit_queue("other", 5))
    lab.run(queue.limit_queue("mail", 3))
    assert lab.run(queue.queue_bounds()) == {"mail": 3, "other": 5}
    assert lab.run(read.queues()) == [
        QueueRecord("mail", max_queued=3),
        QueueRecord("other", max_queued=5),
    ]
    lab.run(queue.limit_queue("mail", None))
    assert lab.run(queue.queue_bounds()) == {"other": 5}


def test_the_bound_of_a_queue_wins_over_the_usual_one(lab: Lab) -> None:
    bounds = Bounds(1, {"mail": 2})
    lab.run(enqueue([new_job(queue="mail")] * 2, bounds=bounds))
    with pytest.raises(QueueFull, match=r"queue 'mail' holds 2 waiting jobs; 1 more .* bound of 2"):
        lab.run(enqueue([new_job(queue="mail")], bounds=bounds))
    with pytest.raises(QueueFull, match=r"'default' .* bound of 1"):
        lab.run(enqueue([new_job()] * 2, bounds=bounds))
    lab.run(enqueue([new_job(queue="other")], bounds=bounds))
    assert sum(lab.recount().values()) == 3


def test_a_pause_ends_by_itself(lab: Lab) -> None:
    me = lab.worker()
    until = lab.now() + MINUTE
    lab.run(steer.pause_queue("mail", "flood", "ada", until))
    (paused,) = lab.run(read.queues())
    assert (paused.paused_reason, paused.paused_by, paused.paused_until) == ("flood", "ada", until)
    assert lab.run(worker.control(me)).paused == {"mail"}
    lab.clock.advance(MINUTE)
    assert lab.run(worker.control(me)).paused == frozenset()
    assert lab.run(read.queues()) == [QueueRecord("mail")]


def test_a_pause_without_an_end_takes_the_place_of_one_with_it(lab: Lab) -> None:
    lab.run(steer.pause_queue("mail", None, None, lab.now() + MINUTE))
    lab.run(steer.pause_queue("mail", None))
    lab.clock.advance(2 * MINUTE)
    (paused,) = lab.run(read.queues())
    assert paused.paused_at is not None
    lab.run(steer.resume_queue("mail"))
    assert lab.run(read.queues()) == [QueueRecord("mail")]
