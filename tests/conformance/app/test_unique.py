"""Unique jobs as an application asks for them: of a task, of one job, in bulk, on a connection."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from jobpipe import Jobpipe, State, Unique
from jobpipe.errors import DuplicateKey, InvalidArguments, InvalidTransition
from tests.conformance.app.site import Site
from tests.conformance.clock import MINUTE
from tests.conformance.drivers import DRIVERS


def test_calls_that_are_equal_are_one_job_while_it_waits(site: Site, jp: Jobpipe) -> None:
    @jp.task(name="sync", unique=True)
    def sync(user: dict[str, int], deep: bool = False) -> str:
        return f"{user} {deep}"

    first = site.enqueue(sync, {"a": 1, "b": 2})
    again = site.enqueue(sync, {"b": 2, "a": 1}, deep=False)
    assert (again.id, again.created, first.created) == (first.id, False, True)
    assert site.enqueue(sync, {"a": 1}).id != first.id
    assert site.enqueue(sync, {"a": 1, "b": 2}, deep=True).id != first.id
    assert site.enqueue(sync.using(unique=False), {"a": 1, "b": 2}).created
    site.drain(jp)
    assert site.result(again) == "{'a': 1, 'b': 2} False"
    assert site.enqueue(sync, {"a": 1, "b": 2}).created


def test_a_key_is_made_of_arguments(site: Site, jp: Jobpipe) -> None:
    @jp.task(unique="sync-{user_id}")
    def sync(user_id: int, why: str = "asked") -> str:
        return why

    first = site.enqueue(sync, 7, "a")
    assert site.seen(first).unique_key == "sync-7"
    assert site.enqueue(sync, user_id=7).id == first.id
    assert site.seen(site.enqueue(sync, 8)).unique_key == "sync-8"
    assert site.seen(site.enqueue(sync.using(unique="{why}!"), 8)).unique_key == "asked!"
    with pytest.raises(InvalidArguments, match=r"user.*is refused; allowed: the task's parameters"):
        site.enqueue(sync.using(unique="{user}"), 7)
    with pytest.raises(InvalidArguments, match="becomes 'sync-"):
        site.enqueue(sync.using(unique="sync-{why}"), 7, "x" * 200)


def test_a_job_takes_over_what_comes_later(site: Site, jp: Jobpipe) -> None:
    @jp.task(unique=Unique("index", answer="replace"))
    def index(page: int) -> int:
        return page

    soon = index.using(run_after=timedelta(hours=1))
    first = site.enqueue(soon, 1)
    assert site.enqueue(soon, 2).id == first.id
    assert site.enqueue(index, 3).id == first.id
    site.drain(jp)
    assert site.result(first) == 3


def test_one_job_may_ask_for_less_or_more_than_its_task(site: Site, jp: Jobpipe) -> None:
    @jp.task(unique=Unique("sync-{user_id}", scope="live", answer="refuse"))
    def sync(user_id: int) -> None:
        return None

    first = site.enqueue(sync, 1)
    with pytest.raises(DuplicateKey, match=f"job {first.id} holds the unique key 'sync-1'") as told:
        site.enqueue(sync, 1)
    assert "docs/unique.md" in told.value.help
    assert site.enqueue(sync.using(unique=Unique(answer="return")), 1).id == first.id
    other = site.enqueue(sync.using(unique="other"), 1)
    assert site.seen(other).unique_key == "other"
    with pytest.raises(DuplicateKey):
        site.enqueue(sync.using(unique="other"), 1)
    site.drain(jp)
    assert site.enqueue(sync, 1).created


def test_a_timed_key_outlives_its_job(site: Site, jp: Jobpipe) -> None:
    @jp.task(unique=Unique("greet", for_seconds=60))
    def greet() -> str:
        return "hello"

    first = site.enqueue(greet)
    site.drain(jp)
    second = site.enqueue(greet)
    assert (second.id, second.state) == (first.id, State.SUCCEEDED)
    site.clock.advance(2 * MINUTE)
    assert site.enqueue(greet).created


def test_many_at_once_repeat_each_other(site: Site, jp: Jobpipe) -> None:
    @jp.task(unique="k-{n}")
    def work(n: int, text: str = "") -> None:
        return None

    held = site.enqueue(work, 1)
    calls = [work.call(n) for n in (1, 2, 2, 3, 1)]
    one, two, again, three, last = site.do(jp, "enqueue_many", calls)
    assert (one, last, again) == (held.id, held.id, two)
    assert len({one, two, three}) == 3
    with pytest.raises(DuplicateKey):
        site.do(
            jp,
            "enqueue_many",
            [work.call(9), work.using(unique=Unique(answer="refuse")).call(3)],
        )
    assert sum(site.do(jp, "counts").values()) == 3


def test_a_rerun_is_refused_while_another_waits(site: Site, jp: Jobpipe) -> None:
    @jp.task(unique=True)
    def work() -> None:
        return None

    first = site.enqueue(work)
    site.drain(jp)
    second = site.enqueue(work)
    with pytest.raises(InvalidTransition, match=f"job {first.id} cannot be re-run"):
        site.do(first, "rerun")
    site.do(second, "cancel")
    assert site.do(first, "rerun").state is State.QUEUED
    assert site.enqueue(work).id == first.id


def test_an_idempotency_key_goes_with_a_unique_one(site: Site, jp: Jobpipe) -> None:
    @jp.task(unique="u")
    def work(n: int) -> None:
        return None

    first = site.enqueue(work.using(idempotency_key="i"), 1)
    assert site.enqueue(work.using(idempotency_key="i"), 1).id == first.id
    assert site.enqueue(work.using(idempotency_key="j"), 2).id == first.id
    with pytest.raises(DuplicateKey, match="idempotency key"):
        site.enqueue(work.using(idempotency_key="i"), 2)
    site.drain(jp)
    assert site.enqueue(work.using(idempotency_key="j"), 2).created


@pytest.mark.parametrize("scope", ["waiting", "live"])
def test_of_many_processes_at_once_one_makes_the_job(site: Site, scope: Any) -> None:
    """Each application here has connections of its own, as a process has."""
    apps = [site.jobpipe() for _ in range(4)]

    def declared(jp: Jobpipe) -> Any:
        @jp.task(name="work", unique=Unique("k-{turn}", scope=scope))
        def work(turn: int) -> None:
            return None

        return work

    tasks = [declared(jp) for jp in apps]
    for jp in apps:
        site.do(jp, "counts")
    start = threading.Barrier(len(apps))
    made: list[tuple[int, int, bool]] = []

    def enqueue(task: Any) -> None:
        for turn in range(10):
            start.wait()
            job = task.enqueue(turn)
            made.append((turn, job.id, job.created))

    threads = [threading.Thread(target=enqueue, args=[task]) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 40
    for turn in range(10):
        assert len({id for each, id, _ in made if each == turn}) == 1
        assert sum(created for each, _, created in made if each == turn) == 1


# On a caller's connection


def connected(site: Site) -> Any:
    connect: Any = sqlite3.connect if site.place.is_file else psycopg.connect
    return closing(connect(site.place.direct))


@pytest.mark.parametrize("site", DRIVERS, indirect=True)
@pytest.mark.parametrize("scope", ["waiting", "live"])
def test_a_key_taken_in_a_transaction_is_free_after_its_rollback(
    site: Site, jp: Jobpipe, scope: Any
) -> None:
    @jp.task(unique=Unique("k", scope=scope))
    def work() -> None:
        return None

    jp.counts()
    with connected(site) as connection:
        work.using(on=connection).enqueue()
        connection.rollback()
        job = work.using(on=connection).enqueue()
        assert job.created
        connection.commit()
        assert work.using(on=connection).enqueue().id == job.id
    assert site.enqueue(work).id == job.id


@pytest.mark.parametrize("site", DRIVERS, indirect=True)
def test_who_came_to_a_waiting_job_commits_before_it_runs(site: Site, jp: Jobpipe) -> None:
    """The job that is returned sees what its second caller has written."""

    @jp.task(unique="k")
    def look() -> int:
        return len(site.place.sql("SELECT n FROM {p}note"))

    first = site.enqueue(look)
    site.place.sql("CREATE TABLE {p}note (n integer)")
    with connected(site) as connection:
        insert = f"INSERT INTO {site.place.prefix}note VALUES (1)"
        connection.execute(insert)
        assert look.using(on=connection).enqueue().id == first.id
        if not site.place.is_file:  # there a worker waits for whoever writes
            site.drain(jp)
            assert site.seen(first).state is State.QUEUED
        connection.commit()
    site.drain(jp)
    assert site.result(first) == 1


@pytest.mark.parametrize(
    "site", [each for each in DRIVERS if not each.startswith("sqlite")], indirect=True
)
def test_who_comes_to_a_blocked_job_holds_nobody_up(site: Site, jp: Jobpipe) -> None:
    """Whoever lets jobs in does not wait for a caller; in a file all wait for whoever writes."""

    @jp.task(unique="k", tenant="t")
    def work() -> int:
        return 1

    first = site.enqueue(work)
    assert site.seen(first).state is State.BLOCKED
    with connected(site) as connection:
        assert work.using(on=connection).enqueue().id == first.id
        site.drain(jp)
        assert site.result(first) == 1
        connection.commit()
