"""What a process knows of the bounds of queues, and when it asks again."""

from __future__ import annotations

from jobpipe.access.known import KnownLimits
from jobpipe.model.gate import GateKind, Wish
from jobpipe.model.marks import GATED, STARTS
from jobpipe.store.ops.queue import QueueLimits
from tests.conformance.lab import new_job


def test_bounds_are_asked_for_once_a_second_by_one_caller() -> None:
    now = [100.0]
    known = KnownLimits(None, clock=lambda: now[0])
    assert known.take_turn()
    assert not known.take_turn()
    now[0] += 0.8
    assert not known.take_turn()
    now[0] += 0.2
    assert known.take_turn()
    known.forget()
    assert known.take_turn()


def test_the_bound_of_a_queue_counts_in_place_of_the_usual_one() -> None:
    known = KnownLimits(5)
    known.learn({"mail": QueueLimits(max_queued=2)})
    assert (known.bounds.of("mail"), known.bounds.of("other")) == (2, 5)
    known.learn({})
    assert known.bounds.of("mail") == 5


def test_a_queue_without_a_bound_is_not_counted() -> None:
    known = KnownLimits(None)
    known.learn({"mail": QueueLimits(max_queued=2)})
    assert not known.bounds.are_for([new_job()])
    assert known.bounds.are_for([new_job(), new_job(queue="mail")])
    assert known.bounds.of("default") is None


def test_jobs_of_a_limited_queue_wish_for_its_gates() -> None:
    known = KnownLimits(None)
    plain, mail = new_job(), new_job(queue="mail")
    assert known.with_gates([plain, mail]) == [plain, mail]
    known.learn(
        {"mail": QueueLimits(concurrency=3, rate="5/s"), "slow": QueueLimits(concurrency=1)}
    )
    as_it_was, gated = known.with_gates([plain, mail])
    assert as_it_was == plain
    assert gated.marks == GATED | STARTS
    assert gated.wishes == (
        Wish(GateKind.CONCURRENCY, "queue:mail"),
        Wish(GateKind.RATE, "queue:mail"),
    )
    (slow,) = known.with_gates([new_job(queue="slow", marks=4)])
    assert slow.marks == 4 | GATED
