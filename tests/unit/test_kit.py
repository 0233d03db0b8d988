"""The test kit: jobs in memory, run when the test says so, on a clock of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobpipe import Depends, Jobpipe, Retry, Snooze, State, current_job
from jobpipe.app.claims import NewClaim
from jobpipe.errors import (
    ConfigError,
    InvalidArguments,
    JobFailed,
    JobpipeError,
    StoreUnavailable,
    WaitTimeout,
)
from jobpipe.testing import Kit
from tests.waiting import until

NOBODY_THERE = "postgresql://nobody@127.0.0.1:1/none"

jp = Jobpipe(NOBODY_THERE, lease_seconds=1)
ran: list[Any] = []


@jp.lifespan
async def place() -> AsyncIterator[str]:
    ran.append("up")
    yield "here"
    ran.append("down")


@jp.task
def add(a: int, b: int = 1) -> int:
    return a + b


@jp.task(queue_name="mail")
async def greet(name: str, at: date | None = None, where: str = Depends(place)) -> str:
    ran.append((name, where))
    return f"{name} is {where}"


@jp.task(max_attempts=3, retry_delays=(60, 120))
def flaky(fails: int) -> int:
    if current_job().attempt <= fails:
        raise Retry("not yet")
    return current_job().attempt


@jp.task(max_attempts=1)
def broken(text: str) -> None:
    raise ValueError(text)


@jp.task
def parent(n: int) -> None:
    ran.append(("parent", n))
    if n:
        parent.enqueue(n - 1)


@jp.task
def restless() -> None:
    raise Snooze(60)


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def kit() -> Iterator[Kit]:
    with Kit(jp) as kit:
        yield kit


def test_jobs_wait_until_they_are_drained(kit: Kit) -> None:
    job = add.enqueue(1, b=2)
    assert job.refresh().state is State.QUEUED
    assert [each.id for each in kit.drain()] == [job.id]
    assert job.result() == 3


def test_drain_returns_what_ran_in_order_and_nothing_twice(kit: Kit) -> None:
    first, second = add.enqueue(1), add.enqueue(2)
    assert [(job.id, job.result()) for job in kit.drain()] == [(first.id, 2), (second.id, 3)]
    third = add.enqueue(3)
    assert [job.id for job in kit.drain()] == [third.id]
    assert kit.drain() == []


def test_what_a_job_enqueues_runs_in_the_same_drain(kit: Kit) -> None:
    parent.enqueue(2)
    assert len(kit.drain()) == 3
    assert ran == ["up", ("parent", 2), ("parent", 1), ("parent", 0), "down"]


def test_lifespans_are_set_up_for_each_drain(kit: Kit) -> None:
    greet.enqueue("Ada")
    (job,) = kit.drain()
    assert job.result() == "Ada is here"
    assert ran == ["up", ("Ada", "here"), "down"]


def test_the_store_of_the_application_is_not_touched() -> None:
    settings, access = jp.settings, jp._access
    with Kit(jp):
        assert jp.settings.url == "sqlite:///:memory:"
        add.enqueue(1)
    assert jp.settings is settings
    assert jp._access is access
    assert jp.settings.url == NOBODY_THERE


def test_each_kit_begins_with_nothing() -> None:
    with Kit(jp) as kit:
        add.enqueue(1)
        assert len(kit.enqueued()) == 1
    with Kit(jp) as kit:
        assert kit.enqueued() == []


def test_an_application_may_be_taken_over_later_and_changed(tmp_path: Path) -> None:
    other = Jobpipe(f"sqlite:///{tmp_path / 'jobs.db'}")

    @other.task
    def double(n: int) -> int:
        return 2 * n

    with Kit() as kit:
        with pytest.raises(ConfigError, match="no application"):
            kit.drain()
        kit.use(jp)
        add.enqueue(1)
        kit.use(other)
        assert jp.settings.url == NOBODY_THERE
        assert kit.enqueued() == []
        assert kit.run(double.enqueue(4)) == 8
    assert not tmp_path.joinpath("jobs.db").exists()


def test_jobs_are_found_by_task_arguments_queue_state_and_start(kit: Kit) -> None:
    one = add.enqueue(1)
    two = add.using(queue_name="slow", run_after=timedelta(hours=2)).enqueue(2, 5)
    mail = greet.enqueue("Ada", at=date(2026, 5, 17))

    def found(*task: Any, **wanted: Any) -> list[int]:
        return [job.id for job in kit.enqueued(*task, **wanted)]

    assert found() == [one.id, two.id, mail.id]
    assert found(add) == [one.id, two.id]
    assert found(add.name, args=(2, 5)) == [two.id]
    assert found(add, args=(1,)) == found(add, args=(1, 1)) == [one.id]
    assert found(add, args={"b": 1}) == [one.id]
    assert found(greet, args={"at": date(2026, 5, 17)}) == [mail.id]
    assert found(queue="mail") == [mail.id]
    assert found(state="scheduled") == [two.id]
    assert found(within=timedelta(0)) == [one.id, mail.id]
    assert found(add, within=timedelta(hours=2)) == [one.id, two.id]


@pytest.mark.parametrize(
    "wish, allowed",
    [
        ({"args": (1, 2, 3)}, "too many positional arguments"),
        ({"args": {"c": 1}}, r"arguments of .*add: a, b$"),
        ({"args": "12"}, r"all by position, as in \(1, 2\), or some by name$"),
        ({"args": 1}, r"all by position, as in \(1, 2\), or some by name$"),
        ({"state": "done"}, "blocked, scheduled, queued, running, retrying, parked, succeeded, "),
        ({"within": 60}, "a timedelta$"),
    ],
)
def test_what_fits_no_job_at_all_is_refused(kit: Kit, wish: Any, allowed: str) -> None:
    with pytest.raises(InvalidArguments, match=allowed):
        kit.assert_enqueued(add, count=0, **wish)


def test_arguments_are_those_of_one_task(kit: Kit) -> None:
    with pytest.raises(InvalidArguments, match="of one task"):
        kit.enqueued(args=(1,))


def test_an_assertion_that_fails_tells_what_is_there(kit: Kit) -> None:
    add.enqueue(1)
    assert [job.id for job in kit.assert_enqueued(add)] == [1]
    assert kit.assert_enqueued(greet, count=0) == []
    with pytest.raises(AssertionError) as told:
        kit.assert_enqueued(add, args=(2,), queue="mail", count=2)
    assert str(told.value) == (
        f"expected 2 jobs {add.name} args=(2,) queue='mail', found 0; the jobs there are:\n"
        f'  job 1: {add.name} {{"a":1}} queue=default queued'
    )
    with pytest.raises(AssertionError, match=r"expected at least one job .*greet, found 0"):
        kit.assert_enqueued(greet)


def test_a_failure_is_raised_with_its_traceback(kit: Kit) -> None:
    broken.enqueue("the first")
    broken.enqueue("the second")
    with pytest.raises(JobFailed, match=r"attempts_exhausted.*ValueError: the first") as raised:
        kit.drain()
    traceback, other = raised.value.__notes__
    assert "raise ValueError(text)" in traceback
    assert other == "job 2 failed too: ValueError: the second"


def test_failures_may_be_kept() -> None:
    with Kit(jp, failures="keep") as kit:
        broken.enqueue("no")
        (job,) = kit.drain()
        assert job.state is State.FAILED
        assert job.error is not None
        assert job.error["message"] == "no"


def test_a_job_that_nobody_runs_is_not_waited_for_for_ever(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobpipe.testing.access.WAIT_SECONDS", 0.01)
    job = add.enqueue(1)
    with pytest.raises(WaitTimeout) as told:
        job.result()
    assert "drain()" in told.value.help
    with pytest.raises(WaitTimeout):
        asyncio.run(job.aresult())


def test_time_stands_still_until_it_is_moved(kit: Kit) -> None:
    began = kit.clock.now()
    job = add.using(run_after=timedelta(hours=1)).enqueue(1)
    assert kit.drain() == []
    kit.clock.advance(timedelta(minutes=59, seconds=59))
    assert kit.drain() == []
    kit.clock.advance(timedelta(seconds=1))
    assert [each.id for each in kit.drain()] == [job.id]
    assert kit.clock.now() == began + timedelta(hours=1)


def test_time_may_be_set(kit: Kit) -> None:
    kit.clock.set(datetime(2030, 2, 28, 12, tzinfo=UTC))
    job = add.using(run_after=datetime(2030, 3, 1, tzinfo=UTC)).enqueue(1)
    record = job.refresh().record
    assert record is not None
    assert record.created_at == 1_898_510_400_000_000  # `date -u -d "2030-02-28 12:00" +%s`
    assert kit.drain() == []
    kit.clock.set(datetime(2030, 3, 1, tzinfo=UTC))
    assert kit.run(job) == 2
    with pytest.raises(InvalidArguments, match="tzinfo"):
        kit.clock.set(datetime(2030, 3, 1))  # noqa: DTZ001  # that is what is refused
    with pytest.raises(InvalidArguments, match="option by=60 is refused; allowed: a timedelta"):
        kit.clock.advance(60)  # type: ignore[arg-type]


def test_retries_wait_for_the_clock(kit: Kit) -> None:
    job = flaky.enqueue(2)
    assert [each.state for each in kit.drain()] == [State.RETRYING]
    assert kit.drain() == []
    kit.clock.advance(timedelta(seconds=60))
    assert [each.attempt for each in kit.drain()] == [2]
    kit.clock.advance(timedelta(seconds=120))
    kit.drain()
    assert job.result() == 3


def test_a_drain_may_move_the_clock_to_what_is_scheduled(kit: Kit) -> None:
    began = kit.clock.now()
    late = add.using(run_after=timedelta(days=2)).enqueue(1)
    soon = flaky.enqueue(1)
    assert [job.id for job in kit.drain(with_scheduled=True)] == [late.id, soon.id]
    assert (late.result(), soon.result()) == (2, 2)
    assert kit.clock.now() == began + timedelta(days=2)


def test_a_drain_without_end_is_given_up(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobpipe.testing.rounds.ROUNDS_MAX", 3)
    restless.enqueue()
    with pytest.raises(JobpipeError, match="after 3 rounds"):
        kit.drain(with_scheduled=True)


def test_one_job_is_run_to_its_end(kit: Kit) -> None:
    later = add.using(run_after=timedelta(hours=3)).enqueue(40)
    assert kit.run(flaky.enqueue(2)) == 3
    assert later.refresh().state is State.SCHEDULED
    with pytest.raises(JobFailed, match="no luck"):
        kit.run(broken.enqueue("no luck"))


def test_a_job_whose_time_never_comes_is_not_run(kit: Kit) -> None:
    jp.pause_queue("default")
    with pytest.raises(WaitTimeout, match=r"job 1 is queued, .*: The queue default is paused"):
        kit.run(add.enqueue(1))


@pytest.mark.parametrize("rate", ["20/s", "200/s"])
def test_a_drain_does_not_wait_for_a_clock_that_stands(kit: Kit, rate: str) -> None:
    """The next token comes as much later as a worker waits while another one admits."""
    jobs = [add.using(rate=rate).enqueue(number) for number in range(30)]
    kit.drain()
    assert {job.refresh().state for job in jobs} == {State.SUCCEEDED, State.BLOCKED}


def test_rates_follow_the_clock(kit: Kit) -> None:
    @jp.task(name="limited", rate="2/m")
    def limited() -> None:
        ran.append(kit.clock.now())

    began = kit.clock.now()
    jobs = [limited.enqueue() for _ in range(4)]
    kit.drain()
    assert [job.refresh().state for job in jobs].count(State.SUCCEEDED) == 1
    kit.drain(with_scheduled=True)
    assert {job.refresh().state for job in jobs} == {State.SUCCEEDED}
    starts = [each - began for each in ran if isinstance(each, datetime)]
    assert starts == [timedelta(seconds=30 * n) for n in range(4)]


def test_what_runs_one_at_a_time_runs_in_order(kit: Kit) -> None:
    @jp.task(name="in_line", concurrency=1)
    def in_line(n: int) -> None:
        ran.append(n)

    jp.enqueue_many(in_line.call(n) for n in range(5))
    kit.drain()
    assert [each for each in ran if isinstance(each, int)] == [0, 1, 2, 3, 4]


def test_inline_jobs_have_run_when_enqueue_returns() -> None:
    with Kit(jp, mode="inline") as kit:
        job = add.enqueue(1)
        assert job.state is State.SUCCEEDED
        assert job.result(timeout=0) == 2
        parent.enqueue(2)
        assert [each for each in ran if each not in ("up", "down")] == [
            ("parent", 2),
            ("parent", 1),
            ("parent", 0),
        ]
        with pytest.raises(JobFailed, match="at once"):
            broken.enqueue("at once")
        assert jp.enqueue_many([add.call(3), add.call(4)]) == [6, 7]
        assert jp.job(7).state is State.SUCCEEDED
        kit.mode = "manual"
        assert add.enqueue(1).refresh().state is State.QUEUED


def test_what_an_inline_job_enqueues_runs_after_it() -> None:
    @jp.task(name="orders_more")
    def orders_more() -> None:
        parent.enqueue(0)
        ran.append("ordered")

    with Kit(jp, mode="inline"):
        orders_more.enqueue()
        assert [each for each in ran if each not in ("up", "down")] == ["ordered", ("parent", 0)]


@pytest.mark.parametrize("mode", ["manual", "inline"])
def test_flows_run_to_their_end(mode: Any) -> None:
    async def awaited() -> int:
        flow = await jp.chain(add.call(1), add).aenqueue()
        if mode == "manual":
            await kit.adrain()
        return await flow.aresult(timeout=0)

    with Kit(jp, mode=mode) as kit:
        flow = jp.chain(add.call(1), add, on_success=parent.call(0)).enqueue()
        if mode == "manual":
            kit.drain()
        assert flow.result(timeout=0) == 3
        assert ran.count(("parent", 0)) == 1
        assert asyncio.run(awaited()) == 3


def test_arguments_and_results_travel_as_in_production() -> None:
    @jp.task(name="shape")
    def shape(pair: tuple[int, int]) -> Any:
        return {"pair": pair, 1: "one"}

    with Kit(jp, mode="inline") as kit:
        assert shape.enqueue((1, 2)).result() == {"pair": [1, 2], "1": "one"}
        with pytest.raises(InvalidArguments):
            add.enqueue("one")  # type: ignore[arg-type]
        kit.failures = "keep"
        error = broken.enqueue("kept as text").refresh().error
        assert error is not None
        assert error.keys() >= {"type", "message", "traceback"}


def test_it_works_on_an_event_loop() -> None:
    async def main() -> None:
        with Kit(jp) as kit:
            job = await greet.aenqueue("Ada")
            assert [each.id for each in await kit.adrain()] == [job.id]
            assert await job.aresult() == "Ada is here"
            assert await kit.arun(await flaky.aenqueue(1)) == 2
            kit.mode = "inline"
            again = await greet.aenqueue("Bob")
            assert again.state is State.SUCCEEDED
            assert await again.aresult() == "Bob is here"

    asyncio.run(main())


def test_a_worker_inside_the_program_follows_the_clock(kit: Kit) -> None:
    job = add.using(run_after=timedelta(hours=1)).enqueue(1)
    with jp.running():
        kit.clock.advance(timedelta(hours=1))
        assert job.result(timeout=10) == 2


def test_transactions_of_jobs_work(kit: Kit) -> None:
    @jp.task(name="in_transaction", max_attempts=1)
    def in_transaction(fails: bool) -> None:
        with current_job().transaction() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS told (n INTEGER)")
            if fails:
                raise ValueError("undone")

    kit.failures = "keep"
    ids = [in_transaction.enqueue(fails).id for fails in (False, True)]
    kit.drain()
    assert [jp.job(id).state for id in ids] == [State.SUCCEEDED, State.FAILED]


def test_a_connection_of_the_callers_is_left_out_of_account(kit: Kit) -> None:
    with sqlite3.connect(":memory:") as connection:
        job = add.using(on=connection).enqueue(1)
    connection.close()
    assert kit.run(job) == 2


def test_several_jobs_may_run_at_once() -> None:
    @jp.task(name="waits_for_another")
    def waits_for_another() -> int:
        return add.enqueue(20).result(timeout=10)

    with Kit(jp, concurrency=2) as kit:
        assert kit.run(waits_for_another.enqueue()) == 21


@pytest.mark.parametrize(
    "option, wrong", [("mode", "eager"), ("failures", "ignore")], ids=["mode", "failures"]
)
def test_what_there_is_not_is_refused(option: str, wrong: Any) -> None:
    with pytest.raises(InvalidArguments, match=f"option {option}='{wrong}' is refused"):
        Kit(**{option: wrong})


def test_a_place_that_there_is_not_is_refused(kit: Kit) -> None:
    with pytest.raises(InvalidArguments, match=r"allowed: enqueue\.before or enqueue\.after or"):
        kit.fail_at("enqueue.befor")


@pytest.mark.parametrize("passage", [0, -1, "1", True, 10**7])
def test_a_worker_does_not_fail_for_ever(kit: Kit, passage: Any) -> None:
    with pytest.raises(InvalidArguments, match=r"allowed: at claim\.taken 1 to 1000000$"):
        kit.fail_at("claim.taken", passage)
    assert kit.run(add.enqueue(1)) == 2


def test_a_worker_may_fail_with_every_outcome(kit: Kit) -> None:
    kit.fail_at("finish.before", passage=0)
    jobs = [add.enqueue(number) for number in range(3)]
    kit.drain()
    assert [job.result() for job in jobs] == [1, 2, 3]


@pytest.mark.parametrize("wrong", [None, "shop:jp", Kit])
def test_what_is_no_application_is_refused(kit: Kit, wrong: Any) -> None:
    with pytest.raises(InvalidArguments, match="allowed: an application"):
        kit.use(wrong)
    assert kit.run(add.enqueue(1)) == 2


def test_the_store_may_be_taken_away_before_a_job_is_stored(kit: Kit) -> None:
    kit.fail_at("enqueue.before")
    with pytest.raises(StoreUnavailable, match=r"enqueue\.before") as raised:
        add.enqueue(1)
    assert not raised.value.outcome_unknown
    assert kit.enqueued() == []
    assert kit.run(add.enqueue(1)) == 2


def test_the_store_may_be_taken_away_after_a_job_is_stored(kit: Kit) -> None:
    once = add.using(idempotency_key="order-7")
    kit.fail_at("enqueue.after", passage=2)
    add.enqueue(0)
    with pytest.raises(StoreUnavailable) as raised:
        once.enqueue(1)
    assert raised.value.outcome_unknown
    assert not once.enqueue(1).created
    assert len(kit.assert_enqueued(add, count=2)) == 2


@pytest.mark.parametrize("place", ["claim.taken", "finish.before"])
def test_a_worker_that_fails_loses_nothing(
    kit: Kit, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    kit.fail_at(place)
    job = flaky.using(run_after=timedelta(hours=1)).enqueue(1)
    assert kit.run(job) == 2
    assert f"FailpointError: {place}" in caplog.text


def test_leases_follow_the_clock() -> None:
    async def main() -> None:
        with Kit(jp) as kit:
            job = await add.aenqueue(1)
            async with jp.tending():  # a program elsewhere claims the job, and is never heard again
                claim = await jp.aclaim(NewClaim(worker="elsewhere", queues="*"))
                assert [each.id for each in claim.jobs] == [job.id]
                assert await kit.adrain() == []
                kit.clock.advance(timedelta(hours=1))
                await asyncio.to_thread(until, lambda: job.refresh().state is State.QUEUED)
            assert await kit.arun(job) == 2

    asyncio.run(main())


def test_what_was_armed_ends_with_the_kit() -> None:
    with Kit(jp) as kit:
        kit.fail_at("enqueue.before", passage=0)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                add.enqueue(1)
    with Kit(jp) as kit:
        assert kit.run(add.enqueue(1)) == 2
