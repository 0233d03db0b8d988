"""In which order a worker takes jobs, how many of a queue at once, and pauses."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from jobpipe import Jobpipe, State
from jobpipe.errors import InvalidArguments, QueueFull
from tests.conformance.app.site import ENOUGH_SECONDS, Site
from tests.conformance.clock import MINUTE
from tests.waiting import until


def test_priorities_come_first_then_the_order_of_enqueueing(site: Site, jp: Jobpipe) -> None:
    order: list[str] = []

    @jp.task
    def note(word: str) -> None:
        order.append(word)

    for word, priority in (("d", -1), ("b", 0), ("a", 100), ("c", 0), ("e", -100)):
        site.enqueue(note.using(priority=priority), word)
    site.drain(jp, concurrency=1)
    assert order == ["a", "b", "c", "d", "e"]


def test_queues_come_in_the_order_of_the_worker(site: Site, jp: Jobpipe) -> None:
    order: list[str] = []

    @jp.task
    def note(word: str) -> None:
        order.append(word)

    for queue in ("rest", "second", "first", "other"):
        site.enqueue(note.using(queue_name=queue, priority=50 if queue == "rest" else 0), queue)
    site.drain(jp, concurrency=1, queues="first,second")
    assert order == ["first", "second"]
    site.drain(jp, concurrency=1, queues="other,*")
    assert order == ["first", "second", "other", "rest"]


@pytest.mark.parametrize("queues", ["mail:1,default", "default,*:1"])
def test_a_queue_with_slots_of_its_own_never_gets_more(
    site: Site, jp: Jobpipe, queues: str
) -> None:
    lock, now, most = threading.Lock(), [0], {"mail": 0, "default": 0}
    pair = threading.Barrier(2, timeout=ENOUGH_SECONDS)

    @jp.task
    def one_at_a_time() -> None:
        with lock:
            now[0] += 1
            most["mail"] = max(most["mail"], now[0])
        threading.Event().wait(0.01)
        with lock:
            now[0] -= 1

    @jp.task
    def two_at_a_time() -> None:
        pair.wait()

    for priority in (0, 5, 0, 5, 9, 9):
        site.enqueue(one_at_a_time.using(queue_name="mail", priority=priority))
        site.enqueue(two_at_a_time)
    site.drain(jp, concurrency=4, queues=queues)
    assert most["mail"] == 1
    assert site.do(jp, "counts")["succeeded"] == 12


def test_a_paused_queue_rests_until_it_is_resumed(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def work() -> str:
        return "worked"

    site.do(jp, "pause_queue", "mail", "repairs")
    paused = site.enqueue(work.using(queue_name="mail"))
    other = site.enqueue(work)
    with site.running(jp):
        assert site.result(other) == "worked"
        assert site.seen(paused).state is State.QUEUED
        (mail,) = [queue for queue in site.do(jp, "queues") if queue.name == "mail"]
        assert mail.paused_reason == "repairs"
        site.do(jp, "resume_queue", "mail")
        assert site.result(paused) == "worked"


def test_a_pause_reaches_a_running_worker(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def work() -> int:
        return 1

    with site.running(jp):
        assert site.result(site.enqueue(work.using(queue_name="mail"))) == 1
        site.do(jp, "pause_queue", "mail")

        def rests() -> bool:
            job = site.enqueue(work.using(queue_name="mail"))
            assert site.result(site.enqueue(work)) == 1
            return site.seen(job).state is State.QUEUED

        until(rests)
        site.do(jp, "resume_queue", "mail")
        until(lambda: site.do(jp, "counts")["queued"] == 0)


def test_a_delayed_job_runs_when_its_time_has_come(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def work() -> str:
        return "now"

    job = site.enqueue(work.using(run_after=timedelta(hours=1)))
    assert site.seen(job).state is State.SCHEDULED
    site.drain(jp)
    assert site.seen(job).state is State.SCHEDULED
    with site.running(jp):
        site.clock.advance(61 * MINUTE)
        assert site.result(job) == "now"


def test_a_delayed_job_is_not_kept_until_the_next_poll(site: Site) -> None:
    jp = site.jobpipe(poll_seconds=30)

    @jp.task
    def work() -> str:
        return "now"

    with site.running(jp):
        job = site.enqueue(work.using(run_after=timedelta(seconds=0.3)))
        assert site.result(job, timeout=10) == "now"


def test_counts_tell_each_state(site: Site, jp: Jobpipe) -> None:
    @jp.task(max_attempts=1)
    def work(fail: bool) -> None:
        assert not fail

    for fail in (False, False, True):
        site.enqueue(work, fail)
    site.drain(jp)
    site.enqueue(work.using(queue_name="b"), False)
    site.enqueue(work.using(run_after=timedelta(hours=1)), False)
    expected = {"succeeded": 2, "failed": 1, "queued": 1, "scheduled": 1}
    assert {state: n for state, n in site.do(jp, "counts").items() if n} == expected
    assert {key: n for key, n in site.do(jp, "queue_counts").items() if n} == {
        ("default", State.SUCCEEDED): 2,
        ("default", State.FAILED): 1,
        ("default", State.SCHEDULED): 1,
        ("b", State.QUEUED): 1,
    }
    assert [job.state for job in site.do(jp, "jobs", state="failed")] == [State.FAILED]
    assert [job.state for job in site.do(jp, "jobs", queue_name="b")] == [State.QUEUED]
    assert len(site.do(jp, "jobs", limit=3)) == 3


def test_a_queue_has_a_bound_of_its_own(site: Site) -> None:
    jp = site.jobpipe(max_queued=1)

    @jp.task
    def work() -> None:
        return None

    mail = work.using(queue_name="mail")
    site.do(jp, "limit_queue", "mail", max_queued=2)
    site.enqueue(mail)
    site.enqueue(mail)
    with pytest.raises(QueueFull, match="bound of 2"):
        site.enqueue(mail)
    (shown,) = [queue for queue in site.do(jp, "queues") if queue.name == "mail"]
    assert shown.max_queued == 2
    site.do(jp, "limit_queue", "mail", max_queued=None)

    def counts_as_usual() -> bool:
        with pytest.raises(QueueFull) as full:
            site.enqueue(mail)
        return "bound of 1" in str(full.value)

    until(counts_as_usual)


def test_a_process_that_enqueues_hears_of_a_bound_within_a_second(site: Site) -> None:
    jp, other = site.jobpipe(), site.jobpipe()

    def work() -> None:
        return None

    for each in (jp, other):
        each.task(name="work")(work)
    site.do(jp, "enqueue_named", "work")
    site.do(other, "limit_queue", "default", max_queued=1)
    began = time.monotonic()

    def is_full() -> bool:
        try:
            site.do(jp, "enqueue_named", "work")
        except QueueFull:
            return True
        return False

    until(is_full)
    assert time.monotonic() - began < 5  # a second, on a machine with time


def test_a_pause_with_an_end_needs_nobody_to_resume_it(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def work() -> str:
        return "worked"

    end = datetime.fromtimestamp(site.clock() / 1e6, UTC) + timedelta(hours=1)
    site.do(jp, "pause_queue", "mail", "night", until=end)
    job = site.enqueue(work.using(queue_name="mail"))
    with site.running(jp):
        assert site.result(site.enqueue(work)) == "worked"
        assert site.seen(job).state is State.QUEUED
        (mail,) = [queue for queue in site.do(jp, "queues") if queue.name == "mail"]
        assert mail.paused_until == round(end.timestamp() * 1e6)
        site.clock.advance(61 * MINUTE)
        assert site.result(job) == "worked"


@pytest.mark.parametrize(
    "verb, wrong, told",
    [
        ("limit_queue", {"max_queued": 0}, "max_queued=0 is refused; allowed: a whole number"),
        ("limit_queue", {"max_queued": True}, "max_queued=True"),
        ("limit_queue", {}, "nothing is to change"),
        ("pause_queue", {"until": datetime(2020, 1, 1, tzinfo=UTC)}, "until=.* a time to come"),
        ("pause_queue", {"until": "tomorrow"}, "until='tomorrow' is refused"),
    ],
)
def test_a_wrong_setting_of_a_queue_is_refused(
    site: Site, jp: Jobpipe, verb: str, wrong: dict[str, object], told: str
) -> None:
    with pytest.raises(InvalidArguments, match=told):
        site.do(jp, verb, "mail", **wrong)
    assert site.do(jp, "queues") == []
