"""What a process knows of the bounds of queues, and when it asks again."""

from __future__ import annotations

from jobpipe.access.known import KnownBounds
from tests.conformance.lab import new_job


def test_bounds_are_asked_for_once_a_second_by_one_caller() -> None:
    now = [100.0]
    known = KnownBounds(None, clock=lambda: now[0])
    assert known.take_turn()
    assert not known.take_turn()
    now[0] += 0.8
    assert not known.take_turn()
    now[0] += 0.2
    assert known.take_turn()
    known.forget()
    assert known.take_turn()


def test_the_bound_of_a_queue_counts_in_place_of_the_usual_one() -> None:
    known = KnownBounds(5)
    known.learn({"mail": 2})
    assert (known.bounds.of("mail"), known.bounds.of("other")) == (2, 5)
    known.learn({})
    assert known.bounds.of("mail") == 5


def test_a_queue_without_a_bound_is_not_counted() -> None:
    known = KnownBounds(None)
    known.learn({"mail": 2})
    assert not known.bounds.are_for([new_job()])
    assert known.bounds.are_for([new_job(), new_job(queue="mail")])
    assert known.bounds.of("default") is None
