"""Tenants with workers that run: who waits for whom, and who does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from jobpipe import Jobpipe
from tests.waiting import until

ENOUGH_SECONDS = 20
SLOTS = 4


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def jp(request: pytest.FixtureRequest) -> Iterator[Jobpipe]:
    application = Jobpipe(request.getfixturevalue(request.param), poll_seconds=30)
    yield application
    application.close()


def test_a_transaction_that_stays_open_delays_no_other_job_of_the_tenant(
    postgres_url: str,
) -> None:
    jp = Jobpipe(postgres_url, poll_seconds=30)

    @jp.task(tenant="acme")
    def hello(word: str) -> str:
        return word

    with psycopg.connect(postgres_url) as caller, jp.running():
        assert hello.enqueue("first").result(ENOUGH_SECONDS) == "first"
        open_ = hello.using(on=caller).enqueue("open")
        for word in ("second", "third"):
            assert hello.enqueue(word).result(ENOUGH_SECONDS) == word
        jp.set_weight("default", "acme", 2)
        caller.commit()
        hello.enqueue("fourth").result(ENOUGH_SECONDS)
        assert open_.result(ENOUGH_SECONDS) == "open"
    jp.close()


def test_the_ten_of_one_tenant_start_with_the_next_turns_of_a_fleet(jp: Jobpipe) -> None:
    order: list[str] = []
    lock, may_end = threading.Lock(), threading.Event()

    @jp.task(tenant="{who}")
    def note(who: str) -> None:
        with lock:
            order.append(who)
        may_end.wait(ENOUGH_SECONDS)

    jp.enqueue_many([note.call("whale")] * 500)
    with jp.running(concurrency=SLOTS):
        until(lambda: len(order) == SLOTS)
        jp.enqueue_many([note.call("fish")] * 10)
        until(lambda: _waiting(jp, "fish") == 10)
        may_end.set()
        until(lambda: order.count("fish") == 10)
    # What ran, what was queued, then turn by turn; a thread may note its start a little later.
    queued, turns, late = 10, 20, SLOTS
    assert "fish" not in order[:SLOTS]
    assert order.index("fish") <= SLOTS + queued + late
    last = max(place for place, who in enumerate(order) if who == "fish")
    assert last < SLOTS + queued + turns + late


def test_everything_runs_once_whatever_the_tenants_have_waiting(jp: Jobpipe) -> None:
    failed: set[int] = set()
    ran: list[int] = []

    @jp.task(tenant="t{tenant}", max_attempts=2, retry_delays=[0])
    def once(tenant: int, number: int) -> None:
        if number % 7 == 0 and number not in failed:
            failed.add(number)
            raise ValueError("again")
        ran.append(number)

    jp.enqueue_many([once.call(number % 30, number) for number in range(300)])
    with jp.running(concurrency=SLOTS), jp.running(concurrency=SLOTS):
        until(lambda: jp.counts()["succeeded"] == 300)
    assert sorted(ran) == [*range(300)]
    assert {(each.waiting, each.queued, each.running) for each in jp.tenants()} <= {(0, 0, 0)}


def _waiting(jp: Jobpipe, tenant: str) -> int:
    return sum(each.waiting + each.queued for each in jp.tenants() if each.name == tenant)
