"""Rows of those who watch, and what they read of jobs that changed."""

from __future__ import annotations

from jobpipe.model.change import Change
from jobpipe.model.state import State
from jobpipe.store.ops import watch
from jobpipe.store.ops import worker as workers
from tests.conformance.clock import SECOND
from tests.conformance.lab import Lab


def watchers(lab: Lab) -> frozenset[int]:
    """Who watches, as a worker hears it."""
    return lab.run(workers.control(lab.worker())).watchers


def test_workers_hear_who_watches_until_he_ends(lab: Lab) -> None:
    assert watchers(lab) == frozenset()
    one = lab.run(watch.begin_watch("one", 10 * SECOND))
    other = lab.run(watch.begin_watch("other", 10 * SECOND))
    assert watchers(lab) == {one, other}
    lab.run(watch.end_watch(one))
    lab.run(watch.end_watch(one))
    assert watchers(lab) == {other}


def test_a_watcher_that_was_killed_is_forgotten(lab: Lab) -> None:
    killed = lab.run(watch.begin_watch("killed", 10 * SECOND))
    alive = lab.run(watch.begin_watch("alive", 10 * SECOND))
    lab.clock.advance(8 * SECOND)
    assert lab.run(watch.prolong_watch(alive, 10 * SECOND))
    lab.clock.advance(8 * SECOND)
    assert watchers(lab) == {alive}
    late = lab.run(watch.begin_watch("late", 10 * SECOND))
    assert [row["id"] for row in lab.place.sql("SELECT id FROM {p}watch ORDER BY id")] == [
        alive,
        late,
    ]
    assert not lab.run(watch.prolong_watch(killed, 10 * SECOND))


def test_changed_jobs_are_those_named_and_those_that_are_new(lab: Lab) -> None:
    assert lab.run(watch.newest_job()) == 0
    first, second, third, fourth, fifth = (lab.new(queue="a") for _ in range(5))
    ended = lab.finished(State.FAILED, queue="b")
    assert lab.run(watch.newest_job()) == ended
    assert lab.run(watch.changed_jobs([first, ended, 999_999], third, 2)) == {
        first: Change(first, State.QUEUED, "a"),
        fourth: Change(fourth, State.QUEUED, "a"),
        fifth: Change(fifth, State.QUEUED, "a"),
        ended: Change(ended, State.FAILED, "b"),
    }
    assert list(lab.run(watch.changed_jobs([], second, 1))) == [third]
    assert lab.run(watch.changed_jobs([], ended, 9)) == {}
