"""Why a job is not running: each reason, from what the store holds."""

from __future__ import annotations

import pytest

from jobpipe.app.explain import ExplainView, explain
from jobpipe.app.views import time_text
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import aside, inspect, steer, worker
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import Lab


def told(lab: Lab, id: int) -> ExplainView:
    view = lab.run(explain(id))
    assert view is not None
    assert (view.id, view.state) == (id, lab.job(id).state)
    assert view.summary == view.reasons[0].message
    return view


def codes(view: ExplainView) -> list[str]:
    return [reason.code for reason in view.reasons]


def start_worker(lab: Lab, queues: list[str], slots: int = 2, pid: int = 7) -> int:
    about = NewWorker(name="w", host="here", pid=pid, pid_started="1", slots=slots, queues=queues)
    return lab.run(worker.register(about, 15 * SECOND))


def test_nobody_is_there(lab: Lab) -> None:
    assert lab.run(explain(1)) is None
    view = told(lab, lab.new())
    assert codes(view) == ["no_workers"]
    assert view.may_start_at is None
    assert "jobpipe worker" in view.reasons[0].help


def test_a_worker_whose_lease_has_ended_does_not_count(lab: Lab) -> None:
    id = lab.new()
    start_worker(lab, ["*"])
    assert codes(told(lab, id)) == ["next"]
    lab.clock.advance(MINUTE)
    assert codes(told(lab, id)) == ["no_workers"]


def test_a_free_worker_takes_it_next(lab: Lab) -> None:
    start_worker(lab, ["other", "default:3"])
    id = lab.new()
    before = time_text(lab.now())
    view = told(lab, id)
    assert codes(view) == ["next"]
    assert before is not None
    assert view.may_start_at is not None
    assert before <= view.may_start_at <= (time_text(lab.now()) or "")


def test_no_worker_takes_its_queue(lab: Lab) -> None:
    start_worker(lab, ["mail"])
    view = told(lab, lab.new())
    assert codes(view) == ["queue_untaken"]
    assert view.reasons[0].help == (
        "Start one for it: jobpipe worker APP -q default."
        " (Programs that ask over HTTP show only while they hold jobs.)"
    )


def test_a_paused_queue_names_who_paused_it_and_why(lab: Lab) -> None:
    start_worker(lab, ["*"])
    id = lab.new()
    lab.run(steer.pause_queue("default", "flood", "ada"))
    view = told(lab, id)
    assert codes(view) == ["queue_paused"]
    assert view.summary == "The queue default is paused by ada: flood."
    assert view.reasons[0].since is not None
    assert view.reasons[0].help == "jobpipe queue resume default"
    lab.run(steer.resume_queue("default"))
    assert codes(told(lab, id)) == ["next"]


def test_a_pause_with_an_end_tells_when_a_job_may_start(lab: Lab) -> None:
    start_worker(lab, ["*"])
    id, later = lab.new(), lab.new(delay_us=3 * MINUTE)
    until = lab.now() + 2 * MINUTE
    lab.run(steer.pause_queue("default", None, until=until))
    assert told(lab, id).may_start_at == time_text(until)
    assert told(lab, later).may_start_at == time_text(lab.job(later).due_at)
    lab.run(aside.pause_task("t", None, None, until + MINUTE))
    view = told(lab, id)
    assert codes(view) == ["task_paused", "queue_paused"]
    assert view.may_start_at == time_text(until + MINUTE)
    lab.run(steer.pause_queue("default", None))
    assert told(lab, id).may_start_at is None


def test_jobs_before_it_and_busy_slots_are_counted(lab: Lab) -> None:
    me = start_worker(lab, ["*"])
    jobs = [lab.new() for _ in range(5)]
    lab.new(priority=1)
    assert codes(told(lab, jobs[0])) == ["next"]
    view = told(lab, jobs[3])
    assert codes(view) == ["jobs_before"]
    assert view.summary == "Before it in its lane (queue default, priority 0): 3 jobs."
    lab.claim(me, 2)
    view = told(lab, jobs[4])
    assert codes(view) == ["jobs_before", "slots_busy"]
    assert view.summary.endswith(": 2 jobs.")
    assert codes(told(lab, jobs[2])) == ["slots_busy"]
    assert view.may_start_at is None


def test_counting_those_before_it_is_bounded(lab: Lab) -> None:
    ids = [lab.new() for _ in range(4)]
    assert [lab.run(inspect.jobs_before(id, 2)) for id in ids] == [0, 1, 2, 2]


def test_a_job_that_waits_for_a_time_tells_it(lab: Lab) -> None:
    start_worker(lab, ["*"])
    id = lab.new(delay_us=MINUTE)
    due = time_text(lab.job(id).due_at)
    view = told(lab, id)
    assert codes(view) == ["scheduled"]
    assert (view.reasons[0].until, view.may_start_at) == (due, due)
    lab.run(steer.pause_queue("default", None))
    view = told(lab, id)
    assert codes(view) == ["scheduled", "queue_paused"]
    assert view.may_start_at is None
    view = told(lab, lab.new(delay_us=MINUTE, expires_in_us=SECOND, queue="q"))
    assert (codes(view), view.may_start_at) == (["expires_first"], None)


def test_a_failed_attempt_is_tried_again(lab: Lab) -> None:
    id = lab.finished(State.RETRYING)
    start_worker(lab, ["*"])
    view = told(lab, id)
    assert codes(view) == ["retrying"]
    assert view.summary == "Attempt 1 of 5 failed; it is tried again later."
    assert view.may_start_at == time_text(lab.job(id).due_at)


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_TASK, Reason.INCOMPATIBLE, Reason.UNDECODABLE])
def test_a_parked_job_tells_what_is_missing(lab: Lab, reason: Reason) -> None:
    job = lab.claimed(version=3)
    lab.finish(job, State.PARKED, reason=reason)
    view = told(lab, job.id)
    assert codes(view) == [reason.value]
    assert view.reasons[0].help
    if reason is Reason.INCOMPATIBLE:
        assert "of version 3, which no code that met it takes: task t" in view.summary


def test_a_running_job_names_its_worker(lab: Lab) -> None:
    job = lab.claimed()
    view = told(lab, job.id)
    assert codes(view) == ["running"]
    assert view.summary == "The worker w runs it: attempt 1 of 5."
    assert view.reasons[0].since == time_text(lab.job(job.id).started_at)
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    assert codes(told(lab, job.id)) == ["running", "cancel_requested"]


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_an_ended_job_says_so(lab: Lab, state: State) -> None:
    id = lab.finished(state)
    view = told(lab, id)
    assert codes(view) == ["ended"]
    assert state.value in view.summary
    assert view.reasons[0].since == time_text(lab.job(id).finished_at)
