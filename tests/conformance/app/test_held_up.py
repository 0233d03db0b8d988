"""Read-ahead that a long job holds up goes to whoever has a slot for it."""

from __future__ import annotations

import threading

from jobpipe import Jobpipe, State
from tests.conformance.app.site import ENOUGH_SECONDS, Site
from tests.waiting import until


def test_short_jobs_do_not_wait_behind_a_long_one(site: Site, jp: Jobpipe) -> None:
    go, started = threading.Event(), threading.Event()

    @jp.task
    def long() -> None:
        started.set()
        go.wait(ENOUGH_SECONDS)

    @jp.task
    async def short() -> None:
        """Does nothing."""

    before = jp.enqueue_many(short.call() for _ in range(300))
    blocking = site.enqueue(long)
    behind = jp.enqueue_many(short.call() for _ in range(300))
    with site.running(jp, concurrency=1):
        assert started.wait(ENOUGH_SECONDS)
        # Nobody else is there: what was claimed ahead is queued again, uncharged.
        until(lambda: jp.counts()["running"] == 1)
        queued = [jp.job(id) for id in behind]
        assert {job.state for job in queued} == {State.QUEUED}
        assert {job.attempt for job in queued} == {0}
        go.set()
        site.result(jp.job(behind[-1]), timeout=ENOUGH_SECONDS)
    assert site.seen(blocking).state is State.SUCCEEDED
    assert {jp.job(id).state for id in before + behind} == {State.SUCCEEDED}
