"""``job.transaction()``: what a task writes and its success are committed together, or neither."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import pytest

from jobpipe import Cancel, Jobpipe, State, current_job
from jobpipe.errors import ConfigError, InvalidTransition, LeaseLost
from jobpipe.model.job import Claimed
from jobpipe.model.state import Reason
from jobpipe.runtime.context import RunningJob
from jobpipe.store.ops import worker as ops
from tests.conformance.app.shelf import Shelf
from tests.conformance.app.site import ENOUGH_SECONDS, Site
from tests.waiting import until

APART = "tests.conformance.app.shelf_tasks"

Steps = Generator[Any, Any, None]


@pytest.fixture(params=["def", "async"])
def shelf(request: pytest.FixtureRequest, site: Site, jp: Jobpipe) -> Shelf:
    """A table beside the jobs, and tasks of both kinds that write to it."""
    return Shelf(site, jp, request.param)


def test_the_writes_and_the_success_come_together(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    def inside(n: int) -> Steps:
        assert (yield shelf.count) == [(0,)]
        yield shelf.put(n)
        yield shelf.put(n + 1)
        assert shelf.items == []
        assert jp.job(current_job().id).state is State.RUNNING

    def after(n: int) -> None:
        assert shelf.items == [n, n + 1]
        assert jp.job(current_job().id).state is State.SUCCEEDED

    job = site.enqueue(shelf.task(inside, after), 7)
    site.drain(jp)
    seen = site.seen(job)
    assert (seen.state, seen.attempt, seen.result, seen.error) == (State.SUCCEEDED, 1, None, None)
    assert seen.started_at is not None
    assert seen.finished_at is not None
    assert 0 <= seen.finished_at - seen.started_at < 5_000_000
    assert jp.counts()["succeeded"] == 1
    assert site.place.sql("SELECT id FROM {p}job WHERE state = 'running'") == []


def test_an_exception_undoes_the_writes(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    def inside(n: int) -> Steps:
        yield shelf.put(n)
        if current_job().attempt == 1:
            raise ValueError("not yet")

    job = site.enqueue(shelf.task(inside), 7)
    with site.running(jp):
        until(lambda: site.seen(job).state is State.SUCCEEDED)
    assert shelf.items == [7]
    assert site.outcomes(jp, job) == ["failed", "succeeded"]


def test_what_the_database_refuses_at_the_commit_fails_the_attempt(
    site: Site, jp: Jobpipe, shelf: Shelf
) -> None:
    task = shelf.task(max_attempts=1)
    first, second, third = (site.enqueue(task, n) for n in (7, 7, 8))
    site.drain(jp, concurrency=1)
    assert [site.seen(job).state for job in (first, third)] == [State.SUCCEEDED, State.SUCCEEDED]
    seen = site.seen(second)
    assert (seen.state, seen.reason) == (State.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    assert seen.error is not None
    assert "nique" in seen.error or "UNIQUE" in seen.error
    assert shelf.items == [7, 8]


def test_a_lost_attempt_commits_nothing(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    """The job is taken over in the middle of the block; only the second run counts."""
    begun, swept = threading.Event(), threading.Event()
    lost: list[int] = []

    def inside(n: int) -> Steps:
        token = current_job().token
        yield shelf.put(n + token)
        if token == 1:
            begun.set()
            yield swept
            lost.append(token)

    job = site.enqueue(shelf.task(inside), 10)
    with site.running(jp):
        until(begun.is_set)
        (worker,) = site.place.sql("SELECT id FROM {p}worker")
        jp._access.store("").run(ops.sweep([worker["id"]]))
        until(lambda: site.seen(job).state is State.SUCCEEDED)
        assert shelf.items == [12]
        swept.set()
        until(lambda: lost)
    assert shelf.items == [12]
    assert site.seen(job).token == 2


def test_a_lost_attempt_hears_of_it(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    raised: list[BaseException] = []

    def inside(n: int) -> Steps:
        yield shelf.put(n)
        (worker,) = site.place.sql("SELECT id FROM {p}worker")
        jp._access.store("").run(ops.sweep([worker["id"]]))

    def blocking() -> None:
        try:
            with current_job().transaction() as connection:
                for sql in inside(7):
                    connection.execute(sql)
        except LeaseLost as error:
            raised.append(error)

    async def awaited() -> None:
        try:
            async with current_job().transaction() as connection:
                for sql in inside(7):
                    found = connection.execute(sql)
                    if not shelf.is_file:
                        await found
        except LeaseLost as error:
            raised.append(error)

    task = jp.task(name="hear", on_loss="fail")(awaited if shelf.kind == "async" else blocking)
    job = site.enqueue(task)
    with site.running(jp):
        until(lambda: raised)
    assert shelf.items == []
    assert site.seen(job).state is not State.SUCCEEDED


def test_an_exception_after_the_commit_changes_nothing(
    site: Site, jp: Jobpipe, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    def after(n: int) -> None:
        raise ValueError("too late")

    job = site.enqueue(shelf.task(after=after), 7)
    site.drain(jp)
    assert site.seen(job).state is State.SUCCEEDED
    assert site.seen(job).error is None
    assert shelf.items == [7]
    assert "raised after its transaction, and has succeeded: ValueError: too late" in caplog.text


def test_there_is_one_success(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    refused: list[str] = []

    def after(n: int) -> None:
        job = current_job()
        with pytest.raises(InvalidTransition, match="has succeeded") as caught:
            job.transaction().__enter__() if shelf.kind == "def" else job._commitment.open()  # type: ignore[union-attr]
        refused.append(str(caught.value))
        with pytest.raises(InvalidTransition, match="outside"):
            job.set_result(1)

    job = site.enqueue(shelf.task(after=after), 7)
    site.drain(jp)
    assert len(refused) == 1
    assert (site.seen(job).state, shelf.items) == (State.SUCCEEDED, [7])


def test_the_result_is_set_inside(
    site: Site, jp: Jobpipe, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    def inside(n: int) -> Steps:
        yield shelf.put(n)
        current_job().set_result("first")
        current_job().set_result({"n": n})

    job = site.enqueue(shelf.task(inside, lambda n: "ignored"), 7)
    site.drain(jp)
    assert site.result(job) == {"n": 7}
    assert "not kept" not in caplog.text


def test_what_is_returned_after_the_commit_is_told_to_be_lost(
    site: Site, jp: Jobpipe, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    job = site.enqueue(shelf.task(after=lambda n: n), 7)
    site.drain(jp)
    assert site.result(job) is None
    assert "job.set_result() inside the block keeps it" in caplog.text


def test_a_result_that_cannot_be_stored_undoes_the_writes(
    site: Site, jp: Jobpipe, shelf: Shelf
) -> None:
    def inside(n: int) -> Steps:
        yield shelf.put(n)
        current_job().set_result(object())

    job = site.enqueue(shelf.task(inside), 7)
    site.drain(jp)
    seen = site.seen(job)
    assert (seen.state, seen.reason, seen.attempt) == (State.FAILED, Reason.UNSTORABLE, 1)
    assert shelf.items == []


def test_what_was_said_is_kept_with_the_success(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    """The store takes nothing more from an attempt that has succeeded, so it is written before."""
    late: list[BaseException] = []

    def inside(n: int) -> Steps:
        current_job().log.info("before")
        current_job().progress(1, 2)
        yield shelf.put(n)
        current_job().log.info("inside")
        current_job().progress(2, 2)

    def after(n: int) -> None:
        current_job().log.info("after")
        with pytest.raises(LeaseLost) as caught:
            current_job().progress(3, 2)
        late.append(caught.value)

    job = site.enqueue(shelf.task(inside, after), 7)
    site.drain(jp)
    lines = site.place.sql("SELECT message FROM {p}log ORDER BY number")
    assert [line["message"] for line in lines] == ["before", "inside"]
    progress = site.seen(job).progress
    assert progress is not None
    assert (progress.done, progress.total, len(late)) == (2, 2, 1)


def test_it_works_in_a_process_of_its_own(
    site: Site,
    jp: Jobpipe,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its tasks are in a module, since the process imports them."""
    monkeypatch.delitem(sys.modules, APART, raising=False)
    shelf_tasks = importlib.import_module(APART)
    jp.include(shelf_tasks.tasks)
    task = shelf_tasks.aput if shelf.kind == "async" else shelf_tasks.put
    jobs = [site.enqueue(task.using(max_attempts=1), shelf.put(n)) for n in (7, 8, 7)]
    site.drain(jp, concurrency=1)
    states = [site.seen(job).state for job in jobs]
    assert states == [State.SUCCEEDED, State.SUCCEEDED, State.FAILED]
    assert [site.result(job) for job in jobs[:2]] == ["put", "put"]
    assert shelf.items == [7, 8]
    lines = site.place.sql("SELECT message FROM {p}log ORDER BY job_id, number")
    assert [line["message"] for line in lines] == ["inside", "inside", "inside"]
    assert not [line for line in caplog.messages if "refused" in line]


def test_a_cancelled_block_is_undone(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    """A coroutine is stopped in the block, a thread asks and stops itself."""
    begun, never = threading.Event(), threading.Event()

    def inside(n: int) -> Steps:
        yield shelf.put(n)
        begun.set()
        if shelf.kind == "async":
            yield never
        until(current_job().cancel_requested)
        raise Cancel("as asked")

    job = site.enqueue(shelf.task(inside), 7)
    after = site.enqueue(shelf.task(name="after"), 8)
    with site.running(jp, concurrency=1):
        until(begun.is_set)
        site.do(job, "cancel")
        until(lambda: site.seen(after).state is State.SUCCEEDED)
    assert (site.seen(job).state, site.seen(job).reason) == (State.CANCELLED, Reason.BY_USER)
    assert shelf.items == [8]


def test_a_success_that_was_to_be_cancelled_counts(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    """The request is recorded all the same."""

    def inside(n: int) -> Steps:
        yield shelf.put(n)
        jp.cancel(current_job().id)

    job = site.enqueue(shelf.task(inside), 7)
    site.drain(jp)
    seen = site.seen(job)
    assert (seen.state, shelf.items) == (State.SUCCEEDED, [7])
    assert seen.cancel_requested_at is not None


def test_a_block_that_runs_out_of_time_is_undone(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    """A thread cannot be stopped: it learns at its commit that the job went on without it."""
    second, late = threading.Event(), threading.Event()

    def inside(n: int) -> Steps:
        yield shelf.put(n + current_job().token)
        if current_job().token == 1:
            yield second
            late.set()
        second.set()

    job = site.enqueue(shelf.task(inside, timeout=0.2, max_attempts=2), 10)
    with site.running(jp):
        until(lambda: site.seen(job).state is State.SUCCEEDED)
        if shelf.kind == "def":
            until(late.is_set)
    assert shelf.items == [12]
    assert site.outcomes(jp, job) == ["timed_out", "succeeded"]


def test_a_time_out_after_the_commit_comes_too_late(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    """Coroutine or thread: it has succeeded, and its slot is free as soon as it ends."""
    asked = threading.Event()

    def after(n: int) -> None:
        until(current_job().cancel_requested) if shelf.kind == "def" else time.sleep(0.4)
        asked.set()

    job = site.enqueue(shelf.task(after=after, timeout=0.2, max_attempts=1), 7)
    site.drain(jp)
    assert (site.seen(job).state, shelf.items) == (State.SUCCEEDED, [7])
    assert asked.wait(ENOUGH_SECONDS)


def test_a_block_that_was_undone_can_be_tried_again(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    def blocking() -> None:
        for n in (1, 2):
            with suppress(ZeroDivisionError), current_job().transaction() as connection:
                connection.execute(shelf.put(n))
                current_job().set_result(n)
                1 // (n - 1)

    async def awaited() -> None:
        for n in (1, 2):
            with suppress(ZeroDivisionError):
                async with current_job().transaction() as connection:
                    written = connection.execute(shelf.put(n))
                    if not shelf.is_file:
                        await written
                    current_job().set_result(n)
                    1 // (n - 1)

    job = site.enqueue(jp.task(name="twice")(awaited if shelf.kind == "async" else blocking))
    site.drain(jp)
    assert (site.result(job), shelf.items, site.seen(job).attempt) == (2, [2], 1)


def test_a_block_in_a_block_is_refused(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    def inside(n: int) -> Steps:
        yield shelf.put(n)
        with pytest.raises(InvalidTransition, match="in a transaction already"):
            current_job()._commitment.open()  # type: ignore[union-attr]

    job = site.enqueue(shelf.task(inside), 7)
    site.drain(jp)
    assert site.seen(job).state is State.SUCCEEDED


def test_with_would_block_the_loop(site: Site, jp: Jobpipe) -> None:
    @jp.task(max_attempts=1)
    async def wrong() -> None:
        with current_job().transaction():
            pass

    job = site.enqueue(wrong)
    site.drain(jp)
    error = site.seen(job).error
    assert error is not None
    assert "would block the event loop" in error


def test_a_transaction_that_is_ended_inside_is_an_error(
    site: Site, jp: Jobpipe, shelf: Shelf
) -> None:
    def inside(n: int) -> Steps:
        yield "COMMIT"

    job = site.enqueue(shelf.task(inside, max_attempts=1), 7)
    after = site.enqueue(shelf.task(name="after"), 8)
    site.drain(jp, concurrency=1)
    error = site.seen(job).error
    assert error is not None
    assert ("not inside job.transaction()" if shelf.is_file else "was ended inside it") in error
    assert (site.seen(after).state, shelf.items) == (State.SUCCEEDED, [8])


def test_many_blocks_at_once(site: Site, jp: Jobpipe, shelf: Shelf) -> None:
    task = shelf.task()
    jobs = [site.enqueue(task, n) for n in range(30)]
    site.drain(jp, concurrency=6)
    assert {site.seen(job).state for job in jobs} == {State.SUCCEEDED}
    assert shelf.items == list(range(30))


def test_outside_of_a_worker_there_is_no_transaction() -> None:
    job = RunningJob(Claimed(1, 1, 1, "t", "q", 0, "{}", 1, None, False, 1, 1, None))
    with pytest.raises(ConfigError, match="needs a worker"):
        job.transaction()
    with pytest.raises(InvalidTransition, match="was called outside"):
        job.set_result(1)
