"""Jobs of other versions than the code's: old ones are upgraded, newer ones wait for newer code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import pytest

from jobpipe import Job, Jobpipe, Reason, State
from tests.conformance.app.site import Site
from tests.conformance.clock import MINUTE
from tests.waiting import until

APART = "tests.conformance.app.versioned"


def first(jp: Jobpipe) -> Any:
    @jp.task(name="mail", max_attempts=1)
    def mail(user: int) -> str:
        return f"1:{user}"

    return mail


def second(jp: Jobpipe) -> Any:
    @jp.task(name="mail", version=2, max_attempts=1)
    async def mail(user: int) -> str:
        return f"2:{user}"

    @mail.upgrade(from_version=1)
    def hundredfold(args: dict[str, Any]) -> dict[str, Any]:
        return {"user": args["user"] * 100}

    return mail


def third(jp: Jobpipe, executor: Any = None) -> Any:
    @jp.task(name="post", aliases=["mail"], version=3, max_attempts=1, executor=executor)
    def post(id: int, text: str) -> str:
        return f"3:{id}:{text}"

    @post.upgrade(from_version=1)
    def hundredfold(args: dict[str, Any]) -> dict[str, Any]:
        return {"user": args["user"] * 100}

    @post.upgrade(from_version=2)
    def renamed(args: dict[str, Any]) -> dict[str, Any]:
        return {"id": args["user"], "text": "hello"}

    return post


def stands(site: Site, job: Job[Any]) -> tuple[State, Reason | None, int, int]:
    record = site.seen(job)
    return record.state, record.reason, record.attempt, record.version


def test_old_jobs_run_on_new_code_through_all_upgrades(site: Site) -> None:
    one, two, three = site.jobpipe(), site.jobpipe(), site.jobpipe()
    post = third(three)
    jobs = [
        site.enqueue(first(one), 7),
        site.enqueue(second(two), 7),
        site.enqueue(post, 7, "x"),
        site.do(three, "enqueue_named", "mail", {"id": 8, "text": "y"}),
    ]
    assert [(site.seen(job).task, site.seen(job).version) for job in jobs] == [
        ("mail", 1),
        ("mail", 2),
        ("post", 3),
        ("post", 3),
    ]
    with site.running(three):
        results = [site.result(job) for job in jobs]
    assert results == ["3:700:hello", "3:7:hello", "3:7:x", "3:8:y"]
    assert [site.seen(job).attempt for job in jobs] == [1, 1, 1, 1]
    assert [site.seen(job).args for job in jobs[:2]] == ['{"user":7}', '\t {"user":7}']


def test_the_version_stays_with_jobs_that_are_stored_together(site: Site) -> None:
    jp = site.jobpipe()
    mail = second(jp)
    ids = site.do(jp, "enqueue_many", [mail.call(n) for n in range(3)])
    keyed = site.enqueue(mail.using(idempotency_key="k"), 3)
    again = site.enqueue(mail.using(idempotency_key="k"), 3)
    assert again.id == keyed.id
    jobs = [site.do(jp, "job", id) for id in [*ids, keyed.id]]
    assert {site.seen(job).version for job in jobs} == {2}
    site.drain(jp)
    assert [site.result(job) for job in jobs] == ["2:0", "2:1", "2:2", "2:3"]


def test_a_newer_job_is_parked_by_old_code_though_its_arguments_would_fit(site: Site) -> None:
    old, new = site.jobpipe(), site.jobpipe()
    first(old)
    job = site.enqueue(second(new), 7)
    site.drain(old)
    assert stands(site, job) == (State.PARKED, Reason.INCOMPATIBLE, 0, 2)
    assert job.error is not None
    assert job.error["type"] == "NewerVersion"
    assert "of version 2, this code knows version 1" in job.error["message"]
    site.drain(old)  # other workers with the old code do not take it either
    assert site.outcomes(old, job) == ["parked"]
    with site.running(new):
        assert site.result(job) == "2:7"
    assert stands(site, job) == (State.SUCCEEDED, None, 1, 2)


def test_old_and_new_workers_beside_each_other_come_to_an_end(site: Site) -> None:
    """The old one goes on taking what it cannot run: each time the job rests twice as long."""
    old, new = site.jobpipe(), site.jobpipe()
    former, later = first(old), second(new)
    with site.running(old):
        jobs = [site.enqueue(later, n) for n in range(5)]
        until(lambda: site.do(old, "counts")["parked"] == 5)
        with site.running(new):
            jobs += [site.enqueue(later, n) for n in range(5, 10)]
            assert [site.result(job, 30) for job in jobs] == [f"2:{n}" for n in range(10)]
            mixed = site.result(site.enqueue(former, 1))
            assert mixed in ("1:1", "2:100")
    assert all(site.seen(job).attempt == 1 for job in jobs)
    assert all(len(site.outcomes(new, job)) <= 6 for job in jobs)


def test_arguments_without_an_upgrade_wait_for_code_that_has_it(site: Site) -> None:
    one, bare, two = site.jobpipe(), site.jobpipe(), site.jobpipe()

    @bare.task(name="mail", version=2)
    def mail(user: int) -> None: ...

    job = site.enqueue(first(one), 7)
    site.drain(bare)
    assert stands(site, job) == (State.PARKED, Reason.INCOMPATIBLE, 0, 1)
    assert job.error is not None
    assert job.error["type"] == "NoUpgrade"
    second(two)
    site.drain(two)
    assert site.result(job) == "2:700"


def test_an_upgrade_that_fails_parks_the_job_until_new_code_starts(site: Site) -> None:
    one, broken, two = site.jobpipe(), site.jobpipe(), site.jobpipe()

    @broken.task(name="mail", version=2)
    def mail(user: int) -> None: ...

    @mail.upgrade(from_version=1)
    def wrong(args: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(args["nothing"])

    job = site.enqueue(first(one), 7)
    with site.running(broken):
        until(lambda: site.seen(job).state is State.PARKED)
        site.clock.advance(10 * MINUTE)
        other = site.enqueue(mail, 1)
        site.result(other)
    assert stands(site, job) == (State.PARKED, Reason.INCOMPATIBLE, 0, 1)
    assert site.outcomes(one, job) == ["parked"]
    assert job.error is not None
    assert job.error["type"] == "UpgradeFailed"
    assert "the upgrade from version 1 failed: KeyError: 'nothing'" in job.error["message"]
    second(two)
    site.drain(two)
    assert site.result(job) == "2:700"


def test_upgraded_arguments_that_do_not_fit_are_undecodable(site: Site) -> None:
    one, wrong = site.jobpipe(), site.jobpipe()

    @wrong.task(name="mail", version=2)
    def mail(id: int) -> None: ...

    @mail.upgrade(from_version=1)
    def same(args: dict[str, Any]) -> dict[str, Any]:
        return args

    job = site.enqueue(first(one), 7)
    site.drain(wrong)
    assert stands(site, job) == (State.PARKED, Reason.UNDECODABLE, 0, 1)


def test_a_parked_job_is_run_again_by_hand(site: Site) -> None:
    old, new = site.jobpipe(), site.jobpipe()
    first(old)
    mail = second(new)
    job = site.enqueue(mail, 7)
    site.drain(old)
    site.do(new, "rerun", job.id)
    assert stands(site, job) == (State.QUEUED, None, 0, 2)
    site.drain(new)
    assert site.result(job) == "2:7"


def test_arguments_into_which_a_result_is_handed_keep_their_version(
    site: Site, jp: Jobpipe
) -> None:
    @jp.task(version=2)
    def double(n: int) -> int:
        return 2 * n

    chain = site.do(jp.chain(double.call(1), double, double), "enqueue")
    site.drain(jp)
    assert site.do(chain, "result", timeout=5) == 8


@pytest.mark.parametrize("site", ["sqlite-sync", "postgresql-async"], indirect=True)
def test_upgrades_of_a_task_with_a_process_of_its_own_run_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = site.jobpipe(), site.jobpipe()

    @one.task(name="formerly")
    def formerly(user: int, worker: int) -> None: ...

    later = one.task(name="versioned", version=3)(formerly.function)
    monkeypatch.delitem(sys.modules, APART, raising=False)
    two.include(importlib.import_module(APART).tasks)
    old = site.enqueue(formerly, 7, os.getpid())
    with site.running(two):
        id, pid = site.result(old)
        newer = site.enqueue(later, 7, 0)
        until(lambda: site.seen(newer).state is State.PARKED)
    assert id == 7
    assert pid != os.getpid()
    assert site.outcomes(two, old) == []  # at the first try
    assert stands(site, newer) == (State.PARKED, Reason.INCOMPATIBLE, 0, 3)


@pytest.mark.parametrize("site", ["sqlite-sync", "postgresql-sync"], indirect=True)
def test_more_parked_jobs_than_one_step_brings_back(site: Site) -> None:
    """Those that are parked again at once do not hold up the others at the start."""
    one, two = site.jobpipe(), site.jobpipe()
    former = first(one)

    @two.task(name="mail", version=2)
    def mail(user: int) -> None: ...

    @mail.upgrade(from_version=1)
    def picky(args: dict[str, Any]) -> dict[str, Any]:
        assert args["user"] >= 2_000
        return args

    site.do(one, "enqueue_many", [former.call(n) for n in range(2_010)])
    site.drain(site.jobpipe())
    assert site.do(one, "counts")["parked"] == 2_010
    site.drain(two)
    counts = site.do(one, "counts")
    assert (counts["parked"], counts["succeeded"]) == (2_000, 10)
