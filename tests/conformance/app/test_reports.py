"""What jobs say while they run: lines in order, bounded, masked; progress; a state that lasts."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import pytest

from jobpipe import Job, Jobpipe, current_job
from jobpipe.errors import InvalidArguments, LeaseLost, PayloadTooLarge
from jobpipe.model.report import LogRecord
from jobpipe.model.state import State
from jobpipe.runtime import speech
from jobpipe.store.ops import claim
from tests.conformance.app.site import Site
from tests.conformance.drivers import DRIVERS
from tests.waiting import until

log = logging.getLogger("tests.said")


@pytest.fixture(autouse=True)
def _info_is_made() -> Iterator[None]:
    """The program that runs the worker wants to hear of infos."""
    log.setLevel(logging.INFO)
    yield
    log.setLevel(logging.NOTSET)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Talkative:
    """Logs while it is being logged."""

    def __str__(self) -> str:
        current_job().log.info("about %s", self)
        return "talkative"


def lines(site: Site, jp: Jobpipe, job: Job[Any]) -> list[LogRecord]:
    told: list[LogRecord] = site.do(jp, "logs", job.id)
    return told


def messages(site: Site, jp: Jobpipe, job: Job[Any]) -> list[str]:
    return [line.message for line in lines(site, jp, job)]


def test_what_a_coroutine_logs_is_kept_with_level_logger_and_fields(
    site: Site, jp: Jobpipe
) -> None:
    @jp.task(name="said")
    async def said() -> None:
        log.info("hello %s", "you", extra={"rows": 5, "where": {"a": [1, None]}})
        await asyncio.sleep(0)
        log.debug("too fine")
        log.error("bad")
        current_job().log("called", rows=2, name="x")
        current_job().log.info("by job.log")

    before = site.clock()
    job = site.enqueue(said)
    site.drain(jp)
    told = lines(site, jp, job)
    assert [(line.token, line.number) for line in told] == [(1, n) for n in range(1, 6)][:4]
    assert [(line.level, line.logger, line.message) for line in told] == [
        (20, "tests.said", "hello you"),
        (40, "tests.said", "bad"),
        (20, "said", "called"),
        (20, "said", "by job.log"),
    ]
    assert json.loads(told[0].fields or "") == {"rows": 5, "where": {"a": [1, None]}}
    assert json.loads(told[2].fields or "") == {"rows": 2, "name_": "x"}
    times = [line.at for line in told]
    assert times == sorted(times)
    assert before - 1_000_000 <= times[0] <= site.clock() + 1_000_000


def test_threads_and_tasks_below_a_task_speak_for_it(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def in_a_thread() -> None:
        log.info("above")
        inner = threading.Thread(target=copy_context().run, args=(log.info, "below"))
        inner.start()
        inner.join()

    @jp.task
    async def on_the_loop() -> None:
        async def below(n: int) -> None:
            log.info("task %s", n)
            await asyncio.to_thread(log.info, "thread %s", n)

        for n in range(2):
            await asyncio.create_task(below(n))

    jobs = [site.enqueue(in_a_thread), site.enqueue(on_the_loop)]
    site.drain(jp)
    assert messages(site, jp, jobs[0]) == ["above", "below"]
    assert messages(site, jp, jobs[1]) == ["task 0", "thread 0", "task 1", "thread 1"]


def test_an_exception_that_is_logged_is_kept_with_its_traceback(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def failing() -> None:
        try:
            raise ValueError("postgresql://me:s3cret@db/jobs")
        except ValueError:
            log.exception("it failed")

    job = site.enqueue(failing)
    site.drain(jp)
    (line,) = lines(site, jp, job)
    error = json.loads(line.fields or "")["error"]
    assert (line.level, line.message) == (40, "it failed")
    assert (error["type"], error["message"]) == ("ValueError", "postgresql://me:***@db/jobs")
    assert error["traceback"].startswith("Traceback (most recent call last):\n")
    assert "s3cret" not in (line.fields or "")


def test_each_attempt_keeps_its_lines_in_order(site: Site, jp: Jobpipe) -> None:
    @jp.task(max_attempts=3)
    def thrice() -> str:
        job = current_job()
        for n in range(50):
            log.info("%s.%s", job.attempt, n)
        if job.attempt < 3:
            raise ValueError("again")
        return "done"

    job = site.enqueue(thrice)
    site.drain(jp)
    assert site.result(job) == "done"
    told = lines(site, jp, job)
    assert [line.message for line in told] == [f"{a}.{n}" for a in (1, 2, 3) for n in range(50)]
    assert [(line.token, line.number) for line in told] == [
        (token, number) for token in (1, 2, 3) for number in range(1, 51)
    ]
    assert [line.message for line in site.do(jp, "logs", job.id, token=2)] == [
        f"2.{n}" for n in range(50)
    ]


def test_a_full_log_keeps_its_beginning_and_its_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "LAST_LINES", 3)
    jp = site.jobpipe(job_log_lines=5)

    @jp.task
    def chatty() -> None:
        for n in range(100):
            log.info("%s", n)

    job = site.enqueue(chatty)
    site.drain(jp)
    told = messages(site, jp, job)
    assert told[:5] == ["0", "1", "2", "3", "4"]
    assert told[5].startswith("the log is full")
    assert told[6] == "92 lines were dropped here: the log was full"
    assert told[7:] == ["97", "98", "99"]


def test_a_log_is_bounded_in_bytes_too(site: Site) -> None:
    jp = site.jobpipe(job_log_bytes=64 * 1024)

    @jp.task
    def wide() -> None:
        for n in range(100):
            log.info("%s %s", n, "x" * 5_000)
        log.info("y" * 1_000_000)

    job = site.enqueue(wide)
    site.drain(jp)
    told = lines(site, jp, job)
    kept = sum(len(line.message) + len(line.fields or "") for line in told)
    assert 60_000 < kept < 64 * 1024 * (1 + 1 / speech.LAST_SHARE) + 1_000
    assert told[0].message.startswith("0 xxx")


def test_a_log_of_no_lines_keeps_none(site: Site) -> None:
    jp = site.jobpipe(job_log_lines=0)

    @jp.task
    def chatty() -> None:
        log.info("hello")

    job = site.enqueue(chatty)
    site.drain(jp)
    assert messages(site, jp, job) == []


def test_hostile_things_can_be_logged(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def hostile() -> None:
        job_log = current_job().log  # heard by no handler, which might not like all this
        cycle: list[Any] = []
        cycle.append(cycle)
        job_log.info("repr %r", Hostile())
        job_log.info("wrong %d", "text")
        job_log.info("nul \x00 lone \ud800 é")
        job_log.info("z" * 100_000)
        job_log.info("about %s", Talkative())
        job_log.info(
            "secret password=hunter2", extra={"api_token": "t0p", "c": cycle, "o": Hostile()}
        )
        job_log.info("numbers", extra={"nan": float("nan"), "big": 10**30, "lone": "\ud800\x00"})
        job_log.info("many", extra={f"f{n}": "v" * 3_000 for n in range(50)})
        odd.info("odd name")

    odd = logging.getLogger("tests.said." + "x\x00\ud800" * 200)
    job = site.enqueue(hostile)
    site.drain(jp)
    error = site.seen(job).error
    assert error is None, json.loads(error)["traceback"]
    told = lines(site, jp, job)
    assert [line.message for line in told[:3]] == [
        "repr %r",
        "wrong %d",
        "nul \\x00 lone \\ud800 é",
    ]
    assert "characters left out" in told[3].message or len(told[3].message) <= speech.LINE_MAX
    assert told[4].message == "about talkative"
    assert told[5].message == "secret password=***"
    fields = json.loads(told[5].fields or "")
    assert (fields["api_token"], fields["o"]) == ("***", "<Hostile>")
    numbers = json.loads(told[6].fields or "")
    assert numbers == {"nan": "nan", "big": str(10**30), "lone": "\\ud800\\x00"}
    assert json.loads(told[7].fields or "")["left_out"] > 0
    assert all(len(line.message) <= speech.LINE_MAX for line in told)
    assert all(len(line.fields or "") <= speech.LINE_MAX for line in told)


def test_what_is_printed_is_kept_when_asked_for(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    jp = site.jobpipe(capture_print="on")

    @jp.task
    def printing() -> None:
        print("one", end=" ")
        print("two")
        print("10%\r20%\r30%")
        sys.stderr.write("wrong password=hunter2\nunended")

    job = site.enqueue(printing)
    stdout, stderr = sys.stdout, sys.stderr
    site.drain(jp)
    print("outside")
    assert (sys.stdout, sys.stderr) == (stdout, stderr)
    assert [(line.logger, line.message) for line in lines(site, jp, job)] == [
        ("print", "one two"),
        ("print", "30%"),
        ("print", "wrong password=***"),
        ("print", "unended"),
    ]


def test_what_is_printed_is_not_kept_otherwise(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def printing() -> None:
        print("one")

    job = site.enqueue(printing)
    site.drain(jp)
    assert messages(site, jp, job) == []


def test_progress_says_how_far_a_job_is(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def counting() -> None:
        for _ in current_job().track(range(1000), note="counting"):
            pass

    @jp.task
    async def acounting() -> None:
        async def items() -> AsyncIterator[int]:
            for n in range(3):
                yield n

        async for _ in current_job().track(items()):
            pass

    @jp.task
    def telling() -> None:
        job = current_job()
        job.progress(1, 4, "a\x00\ud800")
        job.progress(2.5)
        for wrong in (float("nan"), float("inf")):
            with pytest.raises(ValueError, match="finite"):
                job.progress(wrong)

    jobs = [site.enqueue(task) for task in (counting, acounting, telling)]
    site.drain(jp)
    told = [site.seen(job).progress for job in jobs]
    assert [(p.done, p.total, p.note) for p in told if p is not None] == [
        (1000, 1000, "counting"),
        (3, None, None),
        (2.5, None, None),
    ]


def test_progress_and_lines_are_seen_while_a_job_runs(site: Site, jp: Jobpipe) -> None:
    go_on = threading.Event()

    @jp.task
    def waiting() -> None:
        current_job().progress(1, 2, "half")
        log.info("half done")
        go_on.wait(15)

    job = site.enqueue(waiting)
    with site.running(jp):
        try:
            until(lambda: messages(site, jp, job) == ["half done"])
            until(lambda: site.seen(job).progress is not None)
            assert site.seen(job).state is State.RUNNING
        finally:
            go_on.set()
        site.result(job)


def test_the_state_lasts_over_attempts_and_is_dropped_by_a_success(site: Site, jp: Jobpipe) -> None:
    found: list[Any] = []

    @jp.task(max_attempts=3)
    def stepwise() -> Any:
        job = current_job()
        found.append(job.state)
        job.state = {"attempt": job.attempt, "é": [None, 1.5]}
        job.state["lost"] = "a copy"
        if job.attempt < 3:
            raise ValueError("again")
        return job.state

    job = site.enqueue(stepwise)
    site.drain(jp)
    each = [None, {"attempt": 1, "é": [None, 1.5]}, {"attempt": 2, "é": [None, 1.5]}]
    assert found == each
    assert site.result(job) == {"attempt": 3, "é": [None, 1.5]}
    site.do(job, "rerun")
    site.drain(jp)
    assert found == each * 2


def test_a_failed_job_that_is_run_once_more_finds_its_state(site: Site, jp: Jobpipe) -> None:
    @jp.task(max_attempts=1)
    def once() -> str | None:
        job = current_job()
        if job.state is None:
            job.state = "half"
            raise ValueError("stop")
        return str(job.state)

    job = site.enqueue(once)
    site.drain(jp)
    assert site.seen(job).state is State.FAILED
    site.do(job, "rerun")
    site.drain(jp)
    assert site.result(job) == "half"


def test_a_state_that_cannot_be_kept_is_refused(site: Site) -> None:
    jp = site.jobpipe(max_payload=2048)

    @jp.task
    def wrong() -> None:
        job = current_job()
        job.state = 1
        with pytest.raises(PayloadTooLarge, match=r"job\.state needs 4002 bytes"):
            job.state = "x" * 4000
        for value in (object(), {1, 2}, float("nan")):
            with pytest.raises(InvalidArguments, match=r"job\.state"):
                job.state = value
        assert job.state == 1

    job = site.enqueue(wrong)
    site.drain(jp)
    error = site.seen(job).error
    assert error is None, json.loads(error)["traceback"]


@contextmanager
def swept(site: Site, jp: Jobpipe, job: Job[Any]) -> Iterator[None]:
    """Take a running job from its worker, as a sweep does."""
    access = jp._access.store("")
    record = site.seen(job)
    workers = site.do(jp, "workers")
    held = access.run(claim.held(workers[0].id))
    assert [(each.id, each.token) for each in held] == [(job.id, record.token)]
    site.do(jp, "pause_queue", "default")
    access.run(claim.give_back(held))
    yield


@pytest.mark.parametrize("site", DRIVERS, indirect=True)
def test_an_attempt_that_is_over_hears_of_it(site: Site, jp: Jobpipe) -> None:
    begun, taken, ended = threading.Event(), threading.Event(), threading.Event()
    heard: list[object] = []

    @jp.task
    def overtaken() -> None:
        if begun.is_set():  # once is enough
            return
        job = current_job()
        log.info("in time")
        begun.set()
        taken.wait(15)
        log.info("too late")
        until(job.cancel_requested)
        for speak in (lambda: job.progress(1), lambda: setattr(job, "state", 1)):
            try:
                speak()
            except LeaseLost as error:
                heard.append(error.code)
        log.info("much too late")
        ended.set()

    job = site.enqueue(overtaken)
    with site.running(jp):
        assert begun.wait(15)
        until(lambda: messages(site, jp, job) == ["in time"])
        with swept(site, jp, job):
            taken.set()
            assert ended.wait(15)
    assert heard == ["lease_lost"] * 2
    assert messages(site, jp, job) == ["in time"]


def test_a_thread_that_was_abandoned_is_not_heard_any_more(site: Site, jp: Jobpipe) -> None:
    go_on, ended = threading.Event(), threading.Event()
    heard: list[object] = []

    @jp.task(timeout=0.2, max_attempts=1)
    def deaf() -> None:
        job = current_job()
        log.info("in time")
        go_on.wait(15)
        log.info("too late")
        try:
            job.progress(1)
        except LeaseLost as error:
            heard.append(str(error))
        ended.set()

    job = site.enqueue(deaf)
    with site.running(jp):
        until(lambda: site.seen(job).state is State.FAILED)
        go_on.set()
        assert ended.wait(15)
    assert messages(site, jp, job) == ["in time"]
    assert heard == [f"this attempt of job {job.id} is over (token 1)"]


def test_two_workers_of_one_process_keep_each_line_once(site: Site) -> None:
    first, second = site.jobpipe(), site.jobpipe()
    both = threading.Barrier(2, timeout=15)

    def work() -> int:
        both.wait()
        log.info("from %s", current_job().id)
        return current_job().id

    for jp in (first, second):
        jp.task(name="work")(work)
    jobs = [site.enqueue(first.registry.get("work")) for _ in range(2)]
    with site.running(first, concurrency=1), site.running(second, concurrency=1):
        for job in jobs:
            assert site.result(job) == job.id
    for job in jobs:
        assert messages(site, first, job) == [f"from {job.id}"]


def test_a_hook_speaks_for_its_job(site: Site, jp: Jobpipe) -> None:
    def afterwards(job: Any, value: object) -> None:
        log.info("hooked")

    @jp.task(on_success=afterwards)
    def hooked() -> None:
        log.info("done")

    job = site.enqueue(hooked)
    site.drain(jp)
    assert messages(site, jp, job) == ["done", "hooked"]


def test_a_chatty_task_costs_a_write_a_batch(site: Site, jp: Jobpipe) -> None:
    @jp.task
    async def chatty() -> int:
        for n in range(900):
            log.info("%s", n)
            current_job().progress(n)
        return 900

    jobs = [site.enqueue(chatty) for _ in range(3)]
    site.drain(jp)
    for job in jobs:
        assert messages(site, jp, job) == [f"{n}" for n in range(900)]
        assert (seen := site.seen(job).progress) is not None
        assert seen.done == 899


def test_logging_outside_of_jobs_is_as_it_was(
    site: Site, jp: Jobpipe, caplog: pytest.LogCaptureFixture
) -> None:
    handle = logging.Logger.callHandlers

    @jp.task
    def quiet() -> None:
        pass

    site.enqueue(quiet)
    with site.running(jp):
        log.warning("outside")
    assert logging.Logger.callHandlers is handle
    assert "outside" in caplog.messages
