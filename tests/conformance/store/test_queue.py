"""Settings of queues: bounds, limits over all processes, and pauses with an end."""

from __future__ import annotations

import pytest

from jobpipe.errors import QueueFull
from jobpipe.model.gate import GateKind
from jobpipe.model.job import Lane
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import admit, gate_settings, queue, read, steer, worker
from jobpipe.store.ops.aside import Known, set_aside
from jobpipe.store.ops.enqueue import Bounds, enqueue
from jobpipe.store.ops.queue import QueueLimits
from jobpipe.store.ops.read import QueueRecord
from jobpipe.store.ops.steer import Patch
from tests.conformance.clock import MINUTE
from tests.conformance.lab import Lab, new_job

ONE_AT_A_TIME = '{"n":1}'
LIMITED = Known(limited=frozenset({"mail"}))


def set_bound(lab: Lab, name: str, bound: int | None) -> None:
    lab.run(queue.limit_queue(name, {"max_queued": bound}, {}))


def one_at_a_time(lab: Lab) -> None:
    terms = {GateKind.CONCURRENCY: ONE_AT_A_TIME}
    lab.run(queue.limit_queue("mail", {"concurrency": 1}, terms))


def admitted(lab: Lab) -> list[int]:
    done = lab.run(admit.admit())
    assert done is not None
    return [queued.id for queued in done.queued]


def test_a_bound_is_set_changed_and_taken_away(lab: Lab) -> None:
    set_bound(lab, "mail", 10)
    set_bound(lab, "other", 5)
    set_bound(lab, "mail", 3)
    assert lab.run(queue.queue_limits()) == {"mail": QueueLimits(3), "other": QueueLimits(5)}
    assert lab.run(read.queues()) == [
        QueueRecord("mail", max_queued=3),
        QueueRecord("other", max_queued=5),
    ]
    set_bound(lab, "mail", None)
    assert lab.run(queue.queue_limits()) == {"other": QueueLimits(5)}


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


def test_limits_are_set_one_by_one_and_stand_at_the_gates(lab: Lab) -> None:
    one_at_a_time(lab)
    terms = {GateKind.RATE: '{"n":5,"per_us":1000000,"burst":1}'}
    lab.run(queue.limit_queue("mail", {"rate": "5/s"}, terms))
    assert lab.run(queue.queue_limits()) == {"mail": QueueLimits(None, 1, "5/s")}
    gates = lab.run(gate_settings.list_gates(("", ""), 10))
    assert [(gate.kind, gate.key, gate.override) for gate in gates] == [
        ("concurrency", "queue:mail", ONE_AT_A_TIME),
        ("rate", "queue:mail", terms[GateKind.RATE]),
    ]
    assert lab.run(worker.control(lab.worker())).known == LIMITED
    no_terms = {GateKind.CONCURRENCY: None}
    lab.run(queue.limit_queue("mail", {"concurrency": None}, no_terms))
    assert lab.run(queue.queue_limits()) == {"mail": QueueLimits(None, None, "5/s")}


def test_who_came_into_the_queue_without_its_gate_is_sent_there_once(lab: Lab) -> None:
    ids = [answer.id for answer in lab.enqueue([new_job(queue="mail")] * 3)]
    one_at_a_time(lab)
    me, lane = lab.worker(), Lane("mail", 0)
    jobs = lab.claim(me, 3, [lane])
    changes = lab.run(set_aside(jobs, LIMITED))
    assert sorted(change.id for change in changes) == ids
    assert {lab.job(id).state for id in ids} == {State.BLOCKED}
    assert [lab.job(id).attempt for id in ids] == [0, 0, 0]
    for id in ids:
        assert admitted(lab) == [id]
        assert admitted(lab) == []
        (job,) = lab.claim(me, 3, [lane])
        assert lab.run(set_aside([job], LIMITED)) == []
        lab.finish(job)
    assert lab.counts() == lab.recount() == {("mail", State.SUCCEEDED): 3}


def test_a_limit_that_is_gone_sends_nobody_away(lab: Lab) -> None:
    one_at_a_time(lab)
    lab.run(queue.limit_queue("mail", {"concurrency": None}, {GateKind.CONCURRENCY: None}))
    job = lab.claimed(queue="mail")
    assert lab.run(set_aside([job], LIMITED)) == []


def test_a_limit_that_is_taken_away_lets_all_through(lab: Lab) -> None:
    ids = [answer.id for answer in lab.enqueue([new_job(queue="mail")] * 3)]
    one_at_a_time(lab)
    lab.run(set_aside(lab.claim(lab.worker(), 3, [Lane("mail", 0)]), LIMITED))
    assert admitted(lab) == ids[:1]
    lab.run(queue.limit_queue("mail", {"concurrency": None}, {GateKind.CONCURRENCY: None}))
    assert admitted(lab) == ids[1:]


def test_who_was_to_be_cancelled_is_cancelled_at_the_gate(lab: Lab) -> None:
    one_at_a_time(lab)
    job = lab.claimed(queue="mail")
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    (change,) = lab.run(set_aside([job], LIMITED))
    assert change.state is State.CANCELLED
    assert lab.counts() == lab.recount()


@pytest.mark.parametrize("place", [0, 1])
def test_who_goes_to_another_queue_leaves_the_gates_of_the_old_one(lab: Lab, place: int) -> None:
    ids = [answer.id for answer in lab.enqueue([new_job(queue="mail")] * 3)]
    one_at_a_time(lab)
    lab.run(set_aside(lab.claim(lab.worker(), 3, [Lane("mail", 0)]), LIMITED))
    assert admitted(lab) == ids[:1]
    lab.run(steer.patch(ids[place], Patch(queue="other")))
    # Either the slot is free for the next one, or the one that waited waits no more.
    assert admitted(lab) == ids[1:2]
    assert (lab.job(ids[place]).queue, lab.job(ids[place]).state) == ("other", State.QUEUED)
    assert lab.job(ids[2]).state is State.BLOCKED
