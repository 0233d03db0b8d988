"""Pauses of tasks: what is queued rests, whatever its queue, and comes back uncharged."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from jobpipe import Jobpipe, State
from tests.conformance.app.site import Site
from tests.conformance.clock import MINUTE
from tests.waiting import until


def test_a_paused_task_rests_and_others_go_on(site: Site, jp: Jobpipe) -> None:
    @jp.task(name="mail")
    def mail() -> str:
        return "sent"

    @jp.task(name="other")
    def other() -> str:
        return "done"

    site.do(jp, "pause_task", "mail", "repairs")
    jobs = [site.enqueue(mail), site.enqueue(mail.using(queue_name="far"))]
    with site.running(jp):
        assert site.result(site.enqueue(other)) == "done"
        until(lambda: all(site.seen(job).state is State.BLOCKED for job in jobs))
        assert [site.seen(job).attempt for job in jobs] == [0, 0]
        (gate,) = site.do(jp, "gates", "task")
        assert (gate.key, gate.reason, gate.waiting) == ("mail", "repairs", 2)
        site.do(jp, "resume_task", "mail")
        assert [site.result(job) for job in jobs] == ["sent", "sent"]
    numbers = [[each.number for each in site.attempts(jp, job)] for job in jobs]
    assert numbers == [[1], [1]]
    assert site.do(jp, "gates") == []


def test_a_pause_reaches_a_running_worker(site: Site, jp: Jobpipe) -> None:
    @jp.task(name="mail")
    def mail() -> int:
        return 1

    with site.running(jp):
        assert site.result(site.enqueue(mail)) == 1
        site.do(jp, "pause_task", "mail")

        def rests() -> bool:
            job = site.enqueue(mail)
            until(lambda: site.seen(job).state in (State.BLOCKED, State.SUCCEEDED))
            return site.seen(job).state is State.BLOCKED

        until(rests)
        site.do(jp, "resume_task", "mail")
        until(lambda: site.do(jp, "counts")["blocked"] == 0)


def test_a_pause_of_a_task_ends_by_itself(site: Site, jp: Jobpipe) -> None:
    @jp.task(name="mail")
    def mail() -> str:
        return "sent"

    end = datetime.fromtimestamp(site.clock() / 1e6, UTC) + timedelta(hours=1)
    site.do(jp, "pause_task", "mail", until=end)
    job = site.enqueue(mail)
    with site.running(jp):
        until(lambda: site.seen(job).state is State.BLOCKED)
        site.clock.advance(61 * MINUTE)
        assert site.result(job) == "sent"


def test_what_is_drained_leaves_paused_tasks_alone(site: Site, jp: Jobpipe) -> None:
    @jp.task(name="mail")
    def mail() -> str:
        return "sent"

    site.do(jp, "pause_task", "mail")
    job = site.enqueue(mail)
    site.drain(jp)
    assert site.seen(job).state is State.BLOCKED
    site.do(jp, "resume_task", "mail")
    site.drain(jp)
    assert site.result(job) == "sent"


class Crowd:
    """How many run at once, and the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.ran = 0

    def pass_through(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.01)
        with self._lock:
            self.now -= 1
            self.ran += 1


def test_a_limited_queue_runs_no_more_at_a_time_over_all_workers(site: Site) -> None:
    jp, other, crowd = site.jobpipe(), site.jobpipe(), Crowd()
    for each in (jp, other):
        each.task(name="work", queue_name="mail")(crowd.pass_through)
    unaware = [site.do(jp, "enqueue_named", "work") for _ in range(6)]
    site.do(jp, "limit_queue", "mail", concurrency=2)
    with site.running(jp), site.running(other):
        aware = [site.do(other, "enqueue_named", "work") for _ in range(6)]
        for job in (*unaware, *aware):
            site.result(job)
    assert (crowd.ran, crowd.most) == (12, 2)
    assert [site.seen(job).attempt for job in unaware] == [1] * 6
