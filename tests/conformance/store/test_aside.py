"""Jobs of paused tasks: taken by a worker, set aside uncharged, back when the pause is over."""

from __future__ import annotations

from typing import Any

from jobpipe.model import marks
from jobpipe.model.change import Change
from jobpipe.model.job import Lane
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import admit, aside, steer, worker
from jobpipe.store.ops.admit import Admitted
from jobpipe.store.ops.aside import Known
from tests.conformance.clock import MINUTE
from tests.conformance.lab import Lab, new_job

PAUSED = Known(frozenset({"t"}))


def pause(lab: Lab, task: str = "t", until: int | None = None) -> None:
    lab.run(aside.pause_task(task, "flood", "ada", until))


def taken(lab: Lab, **fields: Any) -> int:
    """A job that a worker took and set aside."""
    job = lab.claimed(**fields)
    (change,) = lab.run(aside.set_aside([job], PAUSED))
    assert change == Change(job.id, State.BLOCKED, job.queue)
    return job.id


def admitted(lab: Lab) -> Admitted:
    done = lab.run(admit.admit())
    assert done is not None
    return done


def test_a_job_of_a_paused_task_is_set_aside_uncharged(lab: Lab) -> None:
    pause(lab)
    id = taken(lab)
    job = lab.job(id)
    assert (job.state, job.attempt, job.token, job.worker) == (State.BLOCKED, 0, 1, None)
    assert (job.blocked_on, job.started_at) == ("task:t", None)
    (told,) = lab.run(aside.task_pauses())
    assert (told.task, told.paused_reason, told.paused_by, told.waiting) == ("t", "flood", "ada", 1)
    assert admitted(lab).queued == ()
    assert lab.job(id).state is State.BLOCKED


def test_a_resumed_task_gets_its_jobs_back(lab: Lab) -> None:
    pause(lab)
    ids = [taken(lab), taken(lab)]
    other = lab.claimed(task="other")
    me = lab.worker()
    assert lab.run(worker.control(me)).known == PAUSED
    assert not lab.run(worker.control(me)).has_looks
    assert lab.run(aside.set_aside([other], Known(frozenset({"other"})))) == []
    lab.run(aside.resume_task("t"))
    control = lab.run(worker.control(me))
    assert (control.known, control.has_looks) == (Known(), True)
    assert [queued.id for queued in admitted(lab).queued] == ids
    assert [lab.job(id).state for id in ids] == [State.QUEUED] * 2
    assert not lab.run(worker.control(me)).has_looks
    assert lab.run(aside.task_pauses()) == []


def test_a_pause_that_has_ended_by_itself_sets_nothing_aside(lab: Lab) -> None:
    pause(lab, until=lab.now() + MINUTE)
    id = taken(lab)
    lab.clock.advance(MINUTE)
    late = lab.claimed()
    assert lab.run(aside.set_aside([late], PAUSED)) == []
    assert lab.job(late.id).state is State.RUNNING
    (left,) = lab.run(aside.task_pauses())
    assert (left.paused_at, left.waiting) == (None, 1)
    assert [queued.id for queued in admitted(lab).queued] == [id]


def test_only_what_runs_under_that_token_is_set_aside(lab: Lab) -> None:
    pause(lab)
    ended, stale = lab.claimed(), lab.claimed()
    lab.finish(ended)
    lab.place.sql("UPDATE {p}job SET token = 2 WHERE id = " + str(stale.id))
    assert lab.run(aside.set_aside([ended, stale], PAUSED)) == []
    assert (lab.job(ended.id).state, lab.job(stale.id).state) == (
        State.SUCCEEDED,
        State.RUNNING,
    )


def test_a_job_that_was_to_be_cancelled_is_cancelled_instead(lab: Lab) -> None:
    pause(lab)
    job = lab.claimed()
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    assert lab.run(aside.set_aside([job], PAUSED)) == [Change(job.id, State.CANCELLED, "alone")]
    assert lab.job(job.id).reason is Reason.BY_USER
    assert lab.counts() == lab.recount()
    assert lab.run(aside.task_pauses())[0].waiting == 0


def test_a_job_that_was_cancelled_meanwhile_does_not_come_back(lab: Lab) -> None:
    pause(lab)
    id, deleted = taken(lab), taken(lab)
    for each in (id, deleted):
        lab.run(steer.cancel(each, Reason.BY_USER))
    lab.run(steer.delete_job(deleted))
    assert lab.place.sql("SELECT job_id FROM {p}aside") == [{"job_id": id}]
    lab.run(aside.resume_task("t"))
    assert admitted(lab).queued == ()
    assert lab.job(id).state is State.CANCELLED
    lab.run(steer.rerun(id))
    assert lab.job(id).state is State.QUEUED


def test_what_others_mind_stands_aside_too(lab: Lab) -> None:
    pause(lab)
    followed = lab.enqueue([new_job(queue="alone", marks=marks.FOLLOWED)])[0].id
    (job,) = lab.claim(lab.worker(), 1, [Lane("alone", 0)])
    assert job.id == followed
    lab.run(aside.set_aside([job], PAUSED))
    assert admitted(lab).queued == ()
    lab.run(aside.resume_task("t"))
    assert [queued.id for queued in admitted(lab).queued] == [followed]


def test_more_than_a_round_come_back_in_several(lab: Lab) -> None:
    pause(lab)
    ids = [answer.id for answer in lab.enqueue([new_job()] * (admit.LOOKS_MAX + 1))]
    me = lab.worker()
    jobs = lab.claim(me, 2 * len(ids))
    assert len(lab.run(aside.set_aside(jobs, PAUSED))) == len(ids)
    lab.run(aside.resume_task("t"))
    first = admitted(lab)
    assert (len(first.queued), first.more) == (admit.LOOKS_MAX, True)
    assert [queued.id for queued in admitted(lab).queued] == ids[-1:]
