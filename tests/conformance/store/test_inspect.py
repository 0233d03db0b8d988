"""What a store tells of its own load: fronts of queues, who is busy, how tasks fare."""

from __future__ import annotations

from jobpipe.model.condition import Head, Parked, TaskFailures
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import inspect, steer, upkeep
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import Lab


def near(found: int | None, expected: int) -> bool:
    """Tell whether a time is as expected, but for what passed since."""
    return found is not None and expected <= found < expected + 30 * SECOND


def test_the_front_of_a_queue_is_the_job_that_waits_longest_and_the_one_due_first(lab: Lab) -> None:
    assert lab.run(inspect.heads()) == []
    lab.new(queue="a", priority=5)
    lab.new(queue="late", delay_us=MINUTE)
    lab.new(queue="late", delay_us=9 * MINUTE)
    lab.clock.advance(3 * MINUTE)
    lab.new(queue="a")
    lab.new(queue="a", priority=5)
    a, late = lab.run(inspect.heads())
    assert (a.queue, a.late_us) == ("a", None)
    assert near(a.waited_us, 3 * MINUTE)
    assert (late.queue, late.waited_us) == ("late", None)
    assert near(late.late_us, 2 * MINUTE)


def test_a_queue_without_waiting_jobs_has_no_front(lab: Lab) -> None:
    lab.claimed(queue="a")
    assert lab.run(inspect.heads()) == []
    lab.new(queue="b", delay_us=MINUTE)
    (head,) = lab.run(inspect.heads())
    assert isinstance(head, Head)
    assert head.late_us is not None
    assert head.late_us < 0


def test_workers_are_busy_with_what_runs(lab: Lab) -> None:
    for _ in range(3):
        lab.new()
    one, two = lab.worker("one"), lab.worker("two")
    held = lab.claim(one, 2)
    lab.claim(two, 1)
    assert lab.run(inspect.busy()) == {one: 2, two: 1}
    lab.finish(held[0])
    assert lab.run(inspect.busy()) == {one: 1, two: 1}


def test_runs_of_late_are_told_by_task(lab: Lab) -> None:
    quick = lab.claimed(task="quick")
    lab.finish(quick)
    lab.claimed(task="slow")
    lab.new(task="idle")
    lab.clock.advance(2 * MINUTE)
    slow, fast = lab.run(inspect.task_runs())
    assert (slow.task, slow.runs, slow.running) == ("slow", 1, 1)
    assert near(slow.longest_us, 2 * MINUTE)
    assert near(slow.mean_us, 2 * MINUTE)
    assert (fast.task, fast.runs, fast.running) == ("quick", 1, 0)
    lab.clock.advance(20 * MINUTE)
    assert [each.task for each in lab.run(inspect.task_runs())] == ["slow"]


def test_time_spent_waiting_counts_as_no_run(lab: Lab) -> None:
    again = lab.claimed(task="again")
    lab.finish(again, State.RETRYING, delay_us=60 * MINUTE)
    late = lab.claimed(task="late", expires_in_us=2 * MINUTE)
    lab.finish(late, State.RETRYING, delay_us=60 * MINUTE)
    lab.clock.advance(5 * MINUTE)
    lab.run(steer.cancel(again.id, Reason.BY_USER))
    lab.run(upkeep.promote(100))
    assert lab.job(late.id).reason is Reason.EXPIRED
    assert lab.run(inspect.task_runs()) == []


def test_failures_of_late_are_told_by_task(lab: Lab) -> None:
    lab.finished(State.FAILED, task="bad")
    lab.finished(State.FAILED, task="bad")
    lab.finished(State.RETRYING, task="worse")
    lab.finished(State.SUCCEEDED, task="good")
    lab.new(task="later", delay_us=MINUTE)
    expected = [TaskFailures("bad", 2, 0), TaskFailures("worse", 0, 1)]
    assert lab.run(inspect.task_failures()) == expected
    lab.clock.advance(20 * MINUTE)
    assert lab.run(inspect.task_failures()) == [TaskFailures("worse", 0, 1)]


def test_tasks_of_waiting_and_parked_jobs(lab: Lab) -> None:
    lab.new(task="one")
    lab.new(task="one", queue="other")
    lab.new(task="two")
    lab.finished(State.PARKED, task="gone")
    assert lab.run(inspect.waiting_tasks()) == {"one": 2, "two": 1}
    assert lab.run(inspect.parked_tasks()) == [Parked("gone", Reason.UNKNOWN_TASK, 1)]
    assert lab.run(inspect.task_names()) == ["gone", "one", "two"]


def test_the_oldest_ended_jobs_tell_how_old_they_are(lab: Lab) -> None:
    assert lab.run(inspect.oldest_ended()) == {}
    lab.finished(State.SUCCEEDED)
    lab.clock.advance(MINUTE)
    lab.finished(State.SUCCEEDED)
    lab.finished(State.FAILED)
    lab.new()
    found = lab.run(inspect.oldest_ended())
    assert near(found[State.SUCCEEDED], MINUTE)
    assert near(found[State.FAILED], 0)
    assert len(found) == 2
