"""Unique keys in the store: who holds one, for how long, and what others hear."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobpipe.errors import DuplicateKey, InvalidTransition, QueueFull
from jobpipe.model import marks
from jobpipe.model.audit import Actor
from jobpipe.model.job import Enqueued, NewJob
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.model.unique import Clash, Scope, Uniqueness
from jobpipe.store.ops import audit, claim, steer, upkeep, worker
from jobpipe.store.ops.enqueue import enqueue
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import Lab, held, new_job

SCOPES = list(Scope)
NO_KEEP = {State.SUCCEEDED: 0, State.FAILED: 0, State.CANCELLED: 0}


def one(
    key: str = "k", scope: Scope = Scope.WAITING, answer: Clash = Clash.RETURN, **fields: Any
) -> NewJob:
    """A job that wants the key; a timed one wants it for a minute."""
    for_us = MINUTE if scope is Scope.SECONDS else None
    wish = Uniqueness(scope=scope, answer=answer, for_us=for_us)
    return new_job(unique_key=key, unique=wish, **fields)


def stored(lab: Lab, *jobs: NewJob) -> list[Enqueued]:
    return lab.enqueue(list(jobs))


def id_of(lab: Lab, job: NewJob) -> int:
    (answer,) = stored(lab, job)
    assert answer.created
    return answer.id


def is_free(lab: Lab, scope: Scope = Scope.WAITING, key: str = "k") -> bool:
    """Tell whether a new job gets the key; it is not kept."""
    (answer,) = stored(lab, one(key, scope))
    if answer.created:
        lab.run(steer.cancel(answer.id, Reason.BY_USER))
        lab.place.sql(f"DELETE FROM {{p}}held_key WHERE job_id = {answer.id}")
    return answer.created


# Who comes second


@pytest.mark.parametrize("scope", SCOPES)
def test_who_comes_second_gets_the_first_job(lab: Lab, scope: Scope) -> None:
    first = id_of(lab, one(scope=scope, args='{"n":1}'))
    (second,) = stored(lab, one(scope=scope, args='{"n":2}'))
    assert (second.id, second.created, second.state) == (first, False, State.QUEUED)
    assert second.created_at == lab.job(first).created_at
    assert (lab.job(first).args, lab.job(first).unique_key) == ('{"n":1}', "k")
    assert len(lab.place.sql("SELECT id FROM {p}job")) == 1


@pytest.mark.parametrize("scope", SCOPES)
def test_another_key_is_another_job(lab: Lab, scope: Scope) -> None:
    assert stored(lab, one("a", scope), one("b", scope), new_job())[2].created
    assert [each.created for each in stored(lab, one("a", scope), one("c", scope))] == [False, True]


@pytest.mark.parametrize("scope", SCOPES)
def test_who_wants_to_be_refused_is_refused_and_nothing_is_stored(lab: Lab, scope: Scope) -> None:
    first = id_of(lab, one(scope=scope))
    with pytest.raises(DuplicateKey, match=f"job {first} holds the unique key 'k'"):
        stored(lab, new_job(), one(scope=scope, answer=Clash.REFUSE))
    assert len(lab.place.sql("SELECT id FROM {p}job")) == 1


@pytest.mark.parametrize("answer", list(Clash))
def test_a_job_of_another_task_is_no_answer(lab: Lab, answer: Clash) -> None:
    id_of(lab, one(task="t"))
    with pytest.raises(DuplicateKey, match="for another task, t"):
        stored(lab, one(task="u", answer=answer))
    with pytest.raises(DuplicateKey, match="another job of the same request holds the key 'n'"):
        stored(lab, one("n", task="t"), one("n", task="u", answer=answer))


@pytest.mark.parametrize("scope", SCOPES)
def test_who_waits_gets_the_arguments_and_the_time_of_the_second(lab: Lab, scope: Scope) -> None:
    first = id_of(lab, one(scope=scope, args='{"n":1}', delay_us=MINUTE, priority=4, meta="{}"))
    second = one(
        *("k", scope, Clash.REPLACE), args='{"n":2}', delay_us=2 * MINUTE, priority=9, version=2
    )
    (answer,) = stored(lab, second)
    assert (answer.id, answer.created, answer.state) == (first, False, State.SCHEDULED)
    job = lab.job(first)
    assert (job.args, job.version, job.priority, job.meta) == ('{"n":2}', 2, 4, "{}")
    assert job.run_at is not None
    assert job.run_at == job.due_at
    assert abs(job.run_at - lab.now() - 2 * MINUTE) < 10 * SECOND


def test_a_replaced_job_goes_where_its_new_time_says(lab: Lab) -> None:
    replacing = {"key": "k", "answer": Clash.REPLACE}
    first = id_of(lab, one())
    rank = lab.place.sql("SELECT rank FROM {p}job")
    assert stored(lab, one(**replacing, args='{"n":1}'))[0].state is State.QUEUED
    assert lab.place.sql("SELECT rank FROM {p}job") == rank
    assert stored(lab, one(**replacing, delay_us=MINUTE))[0].state is State.SCHEDULED
    assert lab.job(first).queued_at is None
    assert stored(lab, one(**replacing, run_at=1))[0].state is State.QUEUED
    job = lab.job(first)
    assert (job.run_at, job.due_at) == (1, None)
    assert job.queued_at is not None
    assert stored(lab, one(**replacing, expires_in_us=MINUTE, delay_us=SECOND))
    assert lab.job(first).expires_at == lab.job(first).run_at + MINUTE - SECOND
    assert stored(lab, one(**replacing))[0].state is State.QUEUED
    assert lab.job(first).expires_at is None
    (claimed,) = lab.claim(lab.worker(), 9)
    assert (claimed.id, claimed.args) == (first, "{}")


def test_a_replaced_job_comes_to_its_gates(lab: Lab) -> None:
    gated = {"marks": marks.GATED}
    first = id_of(lab, one(delay_us=MINUTE, **gated))
    assert stored(lab, one(answer=Clash.REPLACE, **gated))[0].state is State.BLOCKED
    assert stored(lab, one(answer=Clash.REPLACE, **gated))[0].state is State.BLOCKED
    assert stored(lab, one(answer=Clash.REPLACE, delay_us=SECOND))[0].state is State.SCHEDULED
    dependent = id_of(lab, one("d", marks=marks.DEPENDENT))
    (answer,) = stored(lab, one("d", answer=Clash.REPLACE, delay_us=SECOND))
    assert (answer.id, answer.state) == (dependent, State.BLOCKED)
    assert lab.job(dependent).run_at is not None
    assert first != dependent


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.SECONDS])
def test_who_has_begun_is_not_replaced(lab: Lab, scope: Scope) -> None:
    first = id_of(lab, one(scope=scope))
    (job,) = lab.claim(lab.worker(), 1)
    with pytest.raises(DuplicateKey, match=f"job {first} holds the key 'k' and is running"):
        stored(lab, one(scope=scope, answer=Clash.REPLACE))
    lab.finish(job, State.RETRYING)
    with pytest.raises(DuplicateKey, match="is retrying: only a job that waits"):
        stored(lab, one(scope=scope, answer=Clash.REPLACE))


def test_a_replacement_is_noted_in_the_audit(lab: Lab) -> None:
    first = id_of(lab, one())
    stored(lab, one(answer=Clash.REPLACE, by=Actor("ann", "http")))
    (row,) = lab.run(audit.audit(None, 10))
    assert (row.who, row.action, row.job_id, row.queue) == ("ann", "patch", first, "default")
    assert row.after == '{"state":"queued","replaced":true}'


# How long a key is held


def test_a_waiting_key_is_held_until_the_first_claim(lab: Lab) -> None:
    first = id_of(lab, one())
    (job,) = lab.claim(lab.worker(), 1)
    second = id_of(lab, one(answer=Clash.REPLACE))
    assert second != first
    lab.finish(job, State.RETRYING)
    assert stored(lab, one())[0].id == second
    assert lab.run(steer.cancel(second, Reason.BY_USER)) is State.CANCELLED
    third = id_of(lab, one())
    assert third not in (first, second)


@pytest.mark.parametrize("way", ["snooze", "give back", "sweep", "park"])
def test_a_waiting_key_is_not_taken_again(lab: Lab, way: str) -> None:
    first = id_of(lab, one())
    by = lab.worker()
    (job,) = lab.claim(by, 1)
    if way == "snooze":
        lab.finish(job, State.SCHEDULED)
    elif way == "give back":
        lab.run(claim.give_back([held(job)]))
    elif way == "sweep":
        lab.run(worker.sweep([by], only_known=True))
    else:
        lab.finish(job, State.PARKED)
        lab.run(upkeep.unpark([first]))
    assert lab.job(first).state in (State.SCHEDULED, State.QUEUED)
    assert id_of(lab, one()) != first


def test_a_live_key_is_held_until_the_end(lab: Lab) -> None:
    live = one(scope=Scope.LIVE)
    first = id_of(lab, live)
    (job,) = lab.claim(lab.worker(), 1)
    assert stored(lab, live)[0].id == first
    lab.finish(job, State.RETRYING)
    assert stored(lab, live)[0].state is State.RETRYING
    lab.clock.advance(MINUTE)
    lab.run(upkeep.promote(9))
    (job,) = lab.claim(lab.worker(), 1)
    lab.finish(job, State.PARKED)
    assert stored(lab, live)[0].id == first
    lab.run(upkeep.unpark([first]))
    (job,) = lab.claim(lab.worker(), 1)
    lab.finish(job)
    assert id_of(lab, live) != first


@pytest.mark.parametrize("state", sorted(FINAL))
def test_every_end_frees_a_live_key(lab: Lab, state: State) -> None:
    first = lab.finished(state, unique_key="k", unique=Uniqueness(scope=Scope.LIVE))
    assert id_of(lab, one(scope=Scope.LIVE)) != first


def test_a_timed_key_is_held_whatever_becomes_of_its_job(lab: Lab) -> None:
    timed = one(scope=Scope.SECONDS)
    first = id_of(lab, timed)
    (job,) = lab.claim(lab.worker(), 1)
    lab.finish(job)
    (second,) = stored(lab, timed)
    assert (second.id, second.state) == (first, State.SUCCEEDED)
    with pytest.raises(DuplicateKey):
        stored(lab, one(scope=Scope.SECONDS, answer=Clash.REFUSE))
    lab.clock.advance(MINUTE - 10 * SECOND)
    assert stored(lab, timed)[0].id == first
    lab.clock.advance(11 * SECOND)
    assert id_of(lab, timed) != first


def test_a_key_is_judged_as_its_holder_asked(lab: Lab) -> None:
    """Live and timed keys are one space; waiting keys are another."""
    first = id_of(lab, one(scope=Scope.SECONDS))
    assert stored(lab, one(scope=Scope.LIVE))[0].id == first
    assert id_of(lab, one(scope=Scope.WAITING)) != first


@pytest.mark.parametrize("way", ["cancel", "expire", "promote late", "promote cancelled"])
@pytest.mark.parametrize("scope", [Scope.WAITING, Scope.LIVE])
def test_who_ends_without_a_start_leaves_no_key(lab: Lab, scope: Scope, way: str) -> None:
    fields: dict[str, Any] = {}
    if way == "expire":
        fields["expires_in_us"] = SECOND
    elif way == "promote late":
        fields |= {"expires_in_us": SECOND, "delay_us": MINUTE}
    first = id_of(lab, one(scope=scope, **fields))
    if way in ("cancel", "promote cancelled"):
        lab.run(steer.cancel(first, Reason.BY_USER))
    lab.clock.advance(2 * SECOND)
    lab.run(upkeep.expire(9))
    lab.run(upkeep.promote(9))
    assert lab.job(first).state in FINAL
    assert lab.place.sql("SELECT id FROM {p}job WHERE waiting_key IS NOT NULL") == []
    assert is_free(lab, scope)


def test_a_patched_job_keeps_its_key(lab: Lab) -> None:
    first = id_of(lab, one())
    lab.run(steer.patch(first, steer.Patch(priority=7, run_at=lab.now() + MINUTE)))
    assert lab.job(first).state is State.SCHEDULED
    lab.clock.advance(2 * MINUTE)
    lab.run(upkeep.promote(9))
    assert stored(lab, one())[0].id == first


@pytest.mark.parametrize("scope", [Scope.WAITING, Scope.LIVE])
def test_who_is_deleted_leaves_no_key(lab: Lab, scope: Scope) -> None:
    first = lab.finished(State.SUCCEEDED, unique_key="k", unique=Uniqueness(scope=scope))
    assert lab.run(steer.delete_job(first)) is State.SUCCEEDED
    assert lab.place.sql("SELECT job_id FROM {p}held_key") == []
    assert is_free(lab, scope)


def test_who_holds_a_timed_key_is_not_pruned_before_it_is_free(lab: Lab) -> None:
    wish = Uniqueness(scope=Scope.SECONDS, for_us=MINUTE)
    first = lab.finished(State.SUCCEEDED, unique_key="k", unique=wish)
    assert lab.run(upkeep.prune(0, 100, NO_KEEP)).deleted == 0
    assert stored(lab, one(scope=Scope.SECONDS))[0].id == first
    lab.clock.advance(2 * MINUTE)
    assert lab.run(upkeep.prune(0, 100, NO_KEEP)).deleted == 1
    assert lab.place.sql("SELECT job_id FROM {p}held_key") == []
    assert is_free(lab, Scope.SECONDS)


# Re-run


@pytest.mark.parametrize("scope", SCOPES)
def test_a_rerun_takes_the_key_anew(lab: Lab, scope: Scope) -> None:
    first = lab.finished(
        State.FAILED, queue="default", unique_key="k", unique=one(scope=scope).unique
    )
    lab.clock.advance(2 * MINUTE)
    assert lab.run(steer.rerun(first)) is not None
    assert stored(lab, one(scope=scope))[0].id == first
    lab.claim(lab.worker(), 1)
    assert is_free(lab, scope) is (scope is Scope.WAITING)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_rerun_is_refused_while_another_job_holds_the_key(lab: Lab, scope: Scope) -> None:
    wish = one(scope=scope).unique
    first = lab.finished(State.FAILED, queue="default", unique_key="k", unique=wish)
    lab.clock.advance(2 * MINUTE)
    second = id_of(lab, one(scope=scope))
    with pytest.raises(InvalidTransition, match=f"job {first} cannot be re-run"):
        lab.run(steer.rerun(first))
    assert lab.job(first).state is State.FAILED
    (job,) = lab.claim(lab.worker(), 1)
    assert job.id == second
    lab.finish(job)
    lab.clock.advance(2 * MINUTE)
    assert lab.run(steer.rerun(first)) is not None
    assert stored(lab, one(scope=scope))[0].id == first


def test_a_rerun_asks_for_its_own_scope_though_others_held_the_key_since(lab: Lab) -> None:
    live = one(scope=Scope.LIVE)
    first = lab.finished(State.FAILED, unique_key="k", unique=live.unique)
    second = lab.finished(State.SUCCEEDED, unique_key="k", unique=live.unique)
    assert lab.run(steer.delete_job(second)) is State.SUCCEEDED
    lab.run(steer.rerun(first))
    assert stored(lab, live)[0].id == first


def test_a_parked_job_is_re_run_with_its_own_key(lab: Lab) -> None:
    live = one(scope=Scope.LIVE)
    first = lab.finished(State.PARKED, unique_key="k", unique=live.unique)
    lab.run(steer.rerun(first))
    assert stored(lab, live)[0].id == first


# Many at once


@pytest.mark.parametrize("scope", SCOPES)
def test_repeats_within_one_request_come_to_one_job(lab: Lab, scope: Scope) -> None:
    first = id_of(lab, one("a", scope))
    answers = stored(
        lab, one("a", scope), one("b", scope), new_job(), one("b", scope), one("a", scope)
    )
    assert [each.created for each in answers] == [False, True, True, False, False]
    ids = [each.id for each in answers]
    assert ids == [first, ids[1], ids[2], ids[1], first]
    assert ids[1] < ids[2]


@pytest.mark.parametrize("scope", SCOPES)
def test_the_last_of_a_request_replaces_the_others(lab: Lab, scope: Scope) -> None:
    jobs = [one("a", scope, Clash.REPLACE, args=f'{{"n":{n}}}') for n in range(3)]
    answers = stored(lab, *jobs)
    assert [each.created for each in answers] == [True, False, False]
    assert lab.job(answers[0].id).args == '{"n":2}'
    stored(lab, jobs[1], jobs[0])
    assert lab.job(answers[0].id).args == '{"n":0}'


def test_a_repeat_within_one_request_may_be_refused(lab: Lab) -> None:
    with pytest.raises(DuplicateKey, match="another job of the same request holds"):
        stored(lab, one("a"), one("a", answer=Clash.REFUSE))
    assert lab.place.sql("SELECT id FROM {p}job") == []


@pytest.mark.parametrize("scope", SCOPES)
def test_thousands_at_once_keep_their_order(lab: Lab, scope: Scope) -> None:
    """More than one statement holds."""
    first = id_of(lab, one("key-00007", scope))
    jobs = [one(f"key-{(n * 7919) % 6000:05}", scope, args=f'{{"n":{n}}}') for n in range(6000)]
    answers = stored(lab, *jobs)
    assert sum(each.created for each in answers) == 5999
    assert [each.id for each in answers if not each.created] == [first]
    rows = lab.place.sql("SELECT id, args, unique_key FROM {p}job")
    args = {row["id"]: (row["args"], row["unique_key"]) for row in rows}
    made = [(job, each) for job, each in zip(jobs, answers, strict=True) if each.created]
    for job, each in made:
        text, key = args[each.id]
        assert (text if isinstance(text, str) else f'{{"n":{text["n"]}}}', key) == (
            job.args,
            job.unique_key,
        )
    ids = [each.id for _, each in made]
    assert ids == sorted(ids)


# Idempotency keys, bounds


@pytest.mark.parametrize("scope", SCOPES)
def test_an_idempotency_key_counts_first(lab: Lab, scope: Scope) -> None:
    first = id_of(lab, one(scope=scope, idempotency_key="i"))
    assert stored(lab, one(scope=scope, answer=Clash.REFUSE, idempotency_key="i"))[0].id == first
    with pytest.raises(DuplicateKey, match="idempotency key 'i'"):
        stored(lab, one(scope=scope, idempotency_key="i", args='{"n":1}'))


@pytest.mark.parametrize("scope", SCOPES)
def test_who_makes_no_job_keeps_no_idempotency_key(lab: Lab, scope: Scope) -> None:
    first = id_of(lab, one(scope=scope))
    asked = one(scope=scope, idempotency_key="i")
    assert [each.id for each in stored(lab, asked, asked)] == [first, first]
    assert lab.place.sql("SELECT key FROM {p}idempotency") == []
    (job,) = lab.claim(lab.worker(), 1)
    lab.finish(job)
    lab.clock.advance(2 * MINUTE)
    second = id_of(lab, asked)
    assert stored(lab, asked)[0].id == second


def test_who_comes_second_needs_no_room(lab: Lab) -> None:
    first = id_of(lab, one())
    (answer,) = lab.enqueue([one()], 1)
    assert answer.id == first
    with pytest.raises(QueueFull, match="1 more would pass"):
        lab.enqueue([one(), one("l")], 1)


# At once


@pytest.mark.parametrize("scope", SCOPES)
def test_of_many_at_once_one_makes_the_job(lab: Lab, scope: Scope) -> None:
    for key in ("a", "b", "c"):
        answers = lab.run_at_once([enqueue([one(key, scope)]) for _ in range(8)])
        assert sum(each.created for (each,) in answers) == 1
        assert len({each.id for (each,) in answers}) == 1


@pytest.mark.parametrize("scope", [Scope.WAITING, Scope.LIVE])
def test_many_that_replace_at_once_leave_one_job_with_the_arguments_of_one(
    lab: Lab, scope: Scope
) -> None:
    jobs = [one("a", scope, Clash.REPLACE, args=f'{{"n":{n}}}') for n in range(8)]
    answers = lab.run_at_once([enqueue([job]) for job in jobs])
    assert len({each.id for (each,) in answers}) == 1
    assert lab.job(answers[0][0].id).args in {job.args for job in jobs}


@pytest.mark.parametrize("scope", [Scope.WAITING, Scope.LIVE])
def test_of_a_rerun_and_a_new_job_at_once_one_has_the_key(lab: Lab, scope: Scope) -> None:
    for turn in range(4):
        wanted = one(f"key-{turn}", scope)
        wish = {"unique_key": wanted.unique_key, "unique": wanted.unique}
        first = lab.finished(State.FAILED, queue=f"q{turn}", **wish)
        with ThreadPoolExecutor(2) as threads:
            rerun = threads.submit(lab.run, steer.rerun(first))
            (answer,) = threads.submit(lab.run, enqueue([wanted])).result()
        # Either the new job came to the one that was re-run, or the re-run was refused.
        assert (answer.id == first) is (rerun.exception() is None)
        assert answer.created is isinstance(rerun.exception(), InvalidTransition)


def test_who_is_blocked_holds_the_key_too(lab: Lab) -> None:
    first = id_of(lab, one(marks=marks.GATED))
    assert stored(lab, one())[0].state is State.BLOCKED
    assert stored(lab, one(answer=Clash.REPLACE, args='{"n":1}', marks=marks.GATED))[0].id == first
    assert lab.job(first).args == '{"n":1}'
