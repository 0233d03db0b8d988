"""What a job comes to: by its value, by what it raises, and by what cannot be run or kept."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import timedelta

import pytest

from jobpipe import Cancel, Fail, Jobpipe, Reason, Retry, Snooze, State, current_job
from jobpipe.errors import InvalidArguments, JobCancelled, JobFailed, WaitTimeout
from tests.conformance.app.site import ENOUGH_SECONDS, Site
from tests.conformance.clock import MINUTE, SECOND


class OwnError(Exception):
    """An error of the user's."""


class Unspeakable(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_a_result_reaches_who_waits_for_it(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def add(a: int, b: int = 1) -> int:
        return a + b

    @jp.task
    async def double(n: int) -> int:
        return 2 * n

    with site.running(jp):
        first, second = site.enqueue(add, 2, b=3), site.enqueue(double, 21)
        assert (site.result(first), site.result(second)) == (5, 42)
    assert (first.state, first.attempt) == (State.SUCCEEDED, 1)
    assert site.outcomes(jp, first) == []
    assert add(2) == 3


def test_a_task_that_returns_nothing_or_keeps_nothing(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def silent() -> None:
        return None

    @jp.task(store_result=False)
    def discreet() -> object:
        return object()

    jobs = [site.enqueue(silent), site.enqueue(discreet)]
    site.drain(jp)
    for job in jobs:
        assert site.result(job) is None
        assert site.seen(job).result is None


def test_a_failure_is_tried_again_until_the_attempts_are_used_up(site: Site, jp: Jobpipe) -> None:
    seen: list[int] = []

    @jp.task(max_attempts=3, retry_delays=[0])
    def broken() -> None:
        seen.append(current_job().attempt)
        raise OwnError(f"attempt {current_job().attempt}")

    job = site.enqueue(broken)
    site.drain(jp)
    assert seen == [1, 2, 3]
    record = site.seen(job)
    assert (record.state, record.reason) == (State.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    assert (record.attempt, record.token) == (3, 3)
    assert job.error is not None
    assert (job.error["type"], job.error["message"]) == ("OwnError", "attempt 3")
    assert "in broken" in job.error["traceback"]
    assert site.outcomes(jp, job) == ["failed", "failed", "failed"]
    with pytest.raises(JobFailed, match="OwnError: attempt 3"):
        site.result(job)


def test_a_second_attempt_may_succeed(site: Site, jp: Jobpipe) -> None:
    @jp.task(retry_delays=[0])
    async def second() -> str:
        if current_job().attempt == 1:
            raise OwnError
        return "done"

    with site.running(jp):
        job = site.enqueue(second)
        assert site.result(job) == "done"
    assert site.seen(job).error is None
    assert site.outcomes(jp, job) == ["failed", "succeeded"]


def test_delays_between_attempts_are_those_of_the_task(site: Site, jp: Jobpipe) -> None:
    @jp.task(retry_delays=[60, 600], max_attempts=3)
    def broken() -> None:
        raise OwnError

    job = site.enqueue(broken)
    for minutes in (1, 10):
        site.drain(jp)
        record = site.seen(job)
        assert record.state is State.RETRYING
        assert record.due_at is not None
        waits = record.due_at - site.do(jp, "health")
        assert (minutes - 1) * MINUTE < waits <= minutes * MINUTE
        site.clock.advance(minutes * MINUTE)
    site.drain(jp)
    assert site.seen(job).state is State.FAILED


def test_a_task_may_say_itself_how_it_ends(site: Site, jp: Jobpipe) -> None:
    @jp.task(retry_delays=[0])
    def speak(how: str) -> None:
        match how:
            case "fail":
                raise Fail("for good")
            case "cancel":
                raise Cancel("not wanted")
            case "retry":
                raise Retry("later", after=3600)
            case "snooze":
                raise Snooze(timedelta(hours=2))

    jobs = {how: site.enqueue(speak, how) for how in ("fail", "cancel", "retry", "snooze")}
    site.drain(jp)
    found = {how: site.seen(job) for how, job in jobs.items()}
    assert {how: (job.state, job.reason, job.attempt) for how, job in found.items()} == {
        "fail": (State.FAILED, Reason.FATAL, 1),
        "cancel": (State.CANCELLED, Reason.BY_USER, 1),
        "retry": (State.RETRYING, None, 1),
        "snooze": (State.SCHEDULED, None, 0),
    }
    now = site.do(jp, "health")
    assert 3500 * SECOND < (found["retry"].due_at or 0) - now <= 3600 * SECOND
    assert 7100 * SECOND < (found["snooze"].due_at or 0) - now <= 7200 * SECOND
    with pytest.raises(JobFailed, match="for good"):
        site.result(jobs["fail"])
    with pytest.raises(JobCancelled, match="by_user"):
        site.result(jobs["cancel"])
    assert site.outcomes(jp, jobs["snooze"]) == ["snoozed"]


def test_a_retry_that_was_asked_for_is_charged_and_a_snooze_is_not(site: Site, jp: Jobpipe) -> None:
    runs: list[str] = []

    @jp.task(max_attempts=2)
    def again() -> None:
        runs.append("again")
        raise Retry(after=0)

    @jp.task(max_attempts=1)
    def later() -> str:
        runs.append("later")
        if runs.count("later") < 4:
            raise Snooze(0)
        return "at last"

    jobs = site.enqueue(again), site.enqueue(later)
    site.drain(jp)
    assert sorted(runs) == ["again"] * 2 + ["later"] * 4
    assert site.seen(jobs[0]).reason is Reason.ATTEMPTS_EXHAUSTED
    assert site.result(jobs[1]) == "at last"
    assert (site.seen(jobs[1]).attempt, site.seen(jobs[1]).token) == (1, 4)


def test_which_failures_are_worth_another_attempt(site: Site, jp: Jobpipe) -> None:
    @jp.task(retry_on=OSError, give_up_on=[FileNotFoundError], retry_delays=[0], max_attempts=2)
    def pick(kind: str) -> None:
        raise {"os": OSError, "file": FileNotFoundError, "own": OwnError}[kind](kind)

    jobs = {kind: site.enqueue(pick, kind) for kind in ("os", "file", "own")}
    site.drain(jp)
    found = {kind: site.seen(job) for kind, job in jobs.items()}
    assert {kind: (job.reason, job.attempt) for kind, job in found.items()} == {
        "os": (Reason.ATTEMPTS_EXHAUSTED, 2),
        "file": (Reason.FATAL, 1),
        "own": (Reason.FATAL, 1),
    }


def test_a_job_that_expired_before_it_started_is_not_run(site: Site, jp: Jobpipe) -> None:
    ran: list[int] = []

    @jp.task
    def late(n: int) -> None:
        ran.append(n)

    jobs = [
        site.enqueue(late.using(expires_in=30), 1),
        site.enqueue(late.using(expires_in=30, run_after=timedelta(hours=1)), 2),
        site.enqueue(late.using(expires_in=timedelta(hours=2)), 3),
    ]
    site.clock.advance(MINUTE)
    site.drain(jp)
    assert ran == [3]
    assert [site.seen(job).state for job in jobs] == [
        State.FAILED,
        State.FAILED,
        State.SUCCEEDED,
    ]
    assert {site.seen(job).reason for job in jobs[:2]} == {Reason.EXPIRED}
    assert [site.seen(job).attempt for job in jobs] == [0, 0, 1]


def test_a_cancel_says_why_and_a_re_run_forgets_it(site: Site, jp: Jobpipe) -> None:
    started = threading.Event()

    @jp.task
    async def waits(seconds: float) -> str:
        started.set()
        await asyncio.sleep(seconds)
        return "done"

    later = site.enqueue(waits.using(run_after=timedelta(hours=1)), 0)
    assert site.do(jp, "cancel", later.id, reason="by_deploy").reason is Reason.BY_DEPLOY
    with site.running(jp):
        running = site.enqueue(waits, ENOUGH_SECONDS)
        assert started.wait(ENOUGH_SECONDS)
        site.do(jp, "cancel", running.id, reason="by_deploy")
        with pytest.raises(JobCancelled, match="by_deploy"):
            site.result(running)
    assert site.seen(running).reason is Reason.BY_DEPLOY
    site.do(jp, "rerun", later.id)
    site.drain(jp)
    assert site.result(later) == "done"
    other = site.enqueue(waits, 0)
    for wrong in ("by_flow", "", "BY_USER", None, 7):
        with pytest.raises(
            InvalidArguments, match=r"option reason=.*allowed: by_user or by_deploy"
        ):
            site.do(jp, "cancel", other.id, reason=wrong)
    assert site.do(jp, "cancel", other.id).reason is Reason.BY_USER


def test_an_unknown_task_is_parked_until_somebody_knows_it(site: Site) -> None:
    old, new = site.jobpipe(), site.jobpipe()

    @new.task(name="fresh", max_attempts=1)
    def fresh() -> str:
        return "known"

    job = site.enqueue(fresh)
    site.drain(old)
    record = site.seen(job)
    assert (record.state, record.reason) == (State.PARKED, Reason.UNKNOWN_TASK)
    assert (record.attempt, record.token) == (0, 1)
    assert job.error is not None
    assert job.error["message"] == "this worker has no task named fresh"
    assert site.outcomes(old, job) == ["parked"]
    with site.running(new):
        assert site.result(job) == "known"
    assert (site.seen(job).attempt, site.seen(job).token) == (1, 2)


def test_a_corrupt_row_is_set_aside_and_the_others_go_on(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def add(a: int, b: int) -> int:
        return a + b

    jobs = [site.enqueue(add, n, n) for n in range(3)]
    site.place.sql(f"UPDATE {{p}}job SET args = '[1, 2]' WHERE id = {jobs[1].id}")
    site.drain(jp)
    assert [site.seen(job).state for job in jobs] == [
        State.SUCCEEDED,
        State.PARKED,
        State.SUCCEEDED,
    ]
    assert site.seen(jobs[1]).reason is Reason.UNDECODABLE
    assert site.seen(jobs[1]).attempt == 0
    site.place.sql(f"""UPDATE {{p}}job SET args = '{{"a":20,"b":1}}' WHERE id = {jobs[1].id}""")
    site.do(jp, "rerun", jobs[1].id)
    site.drain(jp)
    assert site.result(jobs[1]) == 21


def test_a_result_that_cannot_be_kept_fails_the_job_once(site: Site) -> None:
    jp = site.jobpipe(max_payload=1_024)

    @jp.task
    def give(what: str) -> object:
        return {"object": object(), "nan": float("nan"), "large": "x" * 2_000}[what]

    jobs = [site.enqueue(give, what) for what in ("object", "nan", "large")]
    site.drain(jp)
    for job in jobs:
        record = site.seen(job)
        assert (record.state, record.reason) == (State.FAILED, Reason.UNSTORABLE)
        assert (record.attempt, record.result) == (1, None)
        assert job.error is not None
        assert job.error["type"] == "Unstorable"


def test_an_error_of_a_hundred_megabytes_is_kept_short_and_quickly(site: Site, jp: Jobpipe) -> None:
    @jp.task(max_attempts=1)
    def shout() -> None:
        raise OwnError("x" * 100_000_000)

    job = site.enqueue(shout)
    began = time.monotonic()
    site.drain(jp)
    assert time.monotonic() - began < 10
    record = site.seen(job)
    assert record.state is State.FAILED
    assert record.error is not None
    assert len(record.error) < 100_000
    assert "characters left out" in json.loads(record.error)["message"]


def test_errors_that_resist_being_told_are_told_nevertheless(site: Site, jp: Jobpipe) -> None:
    @jp.task(max_attempts=1)
    def fail(how: str) -> None:
        if how == "mute":
            raise Unspeakable
        if how == "chain":
            try:
                raise KeyError("first")
            except KeyError as error:
                raise OwnError("second") from error
        raise OwnError("a\x00b \ud800 c")

    jobs = {how: site.enqueue(fail, how) for how in ("mute", "chain", "odd")}
    site.drain(jp)
    errors = {}
    for how, job in jobs.items():
        assert site.seen(job).state is State.FAILED
        errors[how] = job.error
    assert errors["mute"]["type"] == "Unspeakable"
    assert errors["mute"]["message"] == "<str() of the exception raised RuntimeError>"
    assert "KeyError: 'first'" in errors["chain"]["traceback"]
    assert errors["odd"]["message"] == "a\\x00b \\ud800 c"


@pytest.mark.parametrize("kind", [SystemExit, StopIteration, KeyboardInterrupt, GeneratorExit])
def test_nothing_a_task_raises_ends_its_worker(
    site: Site, jp: Jobpipe, kind: type[BaseException]
) -> None:
    @jp.task(max_attempts=1)
    def sync() -> None:
        raise kind("leave")

    @jp.task(max_attempts=1)
    async def awaited() -> None:
        raise kind("leave")

    @jp.task
    def after() -> str:
        return "still here"

    with site.running(jp):
        jobs = [site.enqueue(sync), site.enqueue(awaited)]
        for job in jobs:
            with pytest.raises(JobFailed, match=rf"{kind.__name__}|StopIteration"):
                site.result(job)
        assert site.result(site.enqueue(after)) == "still here"
    assert {site.seen(job).attempt for job in jobs} == {1}


def test_waiting_has_an_end(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def never() -> None:
        return None

    job = site.enqueue(never)
    with pytest.raises(WaitTimeout, match=r"0\.05 s"):
        site.result(job, timeout=0.05)
    site.do(job, "cancel")
    with pytest.raises(JobCancelled):
        site.result(job)


def test_a_rerun_runs_again_and_keeps_the_history(site: Site, jp: Jobpipe) -> None:
    broken = [True]

    @jp.task(max_attempts=1)
    def mend() -> str:
        if broken[0]:
            raise OwnError
        return "mended"

    job = site.enqueue(mend)
    site.drain(jp)
    assert site.seen(job).state is State.FAILED
    broken[0] = False
    site.do(job, "rerun")
    assert job.state is State.QUEUED
    site.drain(jp)
    assert site.result(job) == "mended"
    assert (site.seen(job).attempt, site.seen(job).reruns) == (1, 1)
    assert site.outcomes(jp, job) == ["failed", "succeeded"]
