"""Workers beside each other: wake-ups from elsewhere, shared stores, the beginning and the end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from jobpipe import Jobpipe, Reason, State, current_job
from jobpipe.errors import ConfigError
from jobpipe.model.job import Lane
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim
from jobpipe.store.ops import worker as ops
from jobpipe.store.ops.enqueue import enqueue
from tests.conformance.app.site import ENOUGH_SECONDS, Site
from tests.conformance.clock import MINUTE
from tests.conformance.drivers import open_stores
from tests.conformance.lab import new_job
from tests.waiting import until

PRODUCER = """
import json, sys
from jobpipe import Jobpipe
jp = Jobpipe(**json.loads(sys.argv[1]))

@jp.task(name="work")
def work(n: int) -> int:
    raise AssertionError

for line in sys.stdin:
    print(work.enqueue(int(line)).id, flush=True)
"""

SLOW_POLL = 30
"""So long a poll that only a wake-up can be in time."""


def declare(jp: Jobpipe) -> Any:
    @jp.task(name="work")
    def work(n: int) -> int:
        return n + 1

    return work


def test_a_worker_hears_of_jobs_from_its_own_process(site: Site) -> None:
    jp = site.jobpipe(poll_seconds=SLOW_POLL)
    work = declare(jp)
    with site.running(jp):
        for n in range(5):
            began = time.monotonic()
            assert site.result(site.enqueue(work, n)) == n + 1
            assert time.monotonic() - began < 5


def test_a_worker_hears_of_jobs_from_another_application_and_thread(site: Site) -> None:
    jp, other = site.jobpipe(poll_seconds=SLOW_POLL), site.jobpipe()
    declare(jp)
    work = declare(other)
    jobs: list[Any] = []
    with site.running(jp):
        site.result(site.enqueue(work, 0))
        began = time.monotonic()
        producer = threading.Thread(
            target=lambda: jobs.extend(site.enqueue(work, n) for n in range(3))
        )
        producer.start()
        producer.join()
        assert [site.result(job) for job in jobs] == [1, 2, 3]
        assert time.monotonic() - began < 10


def test_a_worker_hears_of_jobs_from_another_process(site: Site) -> None:
    jp = site.jobpipe(poll_seconds=SLOW_POLL)
    declare(jp)
    command = [sys.executable, "-c", PRODUCER, json.dumps(site.place.settings)]
    with (
        site.running(jp),
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as producer,
    ):
        assert producer.stdin is not None
        assert producer.stdout is not None
        for n in range(3):
            print(n, file=producer.stdin, flush=True)
            job = site.do(jp, "job", int(producer.stdout.readline()))
            began = time.monotonic()
            assert site.result(job) == n + 1
            assert time.monotonic() - began < 10
        producer.stdin.close()
    assert producer.returncode == 0


def test_polling_alone_finds_a_job_that_nobody_told_of(site: Site, jp: Jobpipe) -> None:
    """The row is written past Jobpipe, as by a producer whose every wake-up was lost."""
    declare(jp)
    silent = 1_000
    with site.running(jp):
        site.place.sql("INSERT INTO {p}lane (queue, priority) VALUES ('quiet', 0)")
        site.place.sql(
            "INSERT INTO {p}job (id, task, queue, priority, args, max_attempts, max_losses,"
            f" created_at, state, rank, queued_at) VALUES ({silent}, 'work', 'quiet', 0,"
            f""" '{{"n":5}}', 1, 3, 0, 'queued', {silent}, 0)"""
        )
        until(lambda: site.do(jp, "job", silent).state is State.SUCCEEDED)


def test_two_workers_share_the_work_and_run_each_job_once(site: Site) -> None:
    lock, runs = threading.Lock(), list[int]()
    apps = [site.jobpipe(), site.jobpipe()]
    for jp in apps:

        @jp.task(name="note")
        def note(n: int) -> None:
            with lock:
                runs.append(n)

    with site.running(apps[0]), site.running(apps[1]):
        site.do(apps[0], "enqueue_many", [note.call(n) for n in range(200)])
        until(lambda: site.do(apps[0], "counts")["succeeded"] == 200)
    assert sorted(runs) == list(range(200))


def test_draining_runs_all_that_may_run_now_and_no_more(site: Site, jp: Jobpipe) -> None:
    ran: list[int] = []

    @jp.task
    def chain(n: int) -> None:
        ran.append(n)
        if n < 5:
            chain.enqueue(n + 1)

    site.enqueue(chain, 0)
    site.drain(jp)
    assert ran == [0, 1, 2, 3, 4, 5]
    site.drain(jp)
    assert site.do(jp, "workers") == []
    assert site.do(jp, "counts")["succeeded"] == 6


def test_a_worker_is_listed_while_it_works(site: Site, jp: Jobpipe) -> None:
    assert site.do(jp, "workers") == []
    with site.running(jp, concurrency=3, queues="mail:1,*"):
        (worker,) = site.do(jp, "workers")
        assert (worker.slots, worker.queues, worker.expired) == (3, '["mail:1","*"]', False)
    assert site.do(jp, "workers") == []


def test_a_worker_whose_lease_was_taken_begins_anew_and_writes_nothing_stale(
    site: Site,
) -> None:
    """As after a pause longer than the lease: another sweeps, the old attempt is refused."""
    jp = site.jobpipe(lease_seconds=1)
    runs: list[int] = []
    may_end = threading.Event()

    @jp.task(name="work")
    def work() -> str:
        runs.append(current_job().token)
        if current_job().token == 1:
            assert may_end.wait(ENOUGH_SECONDS)
            return "stale"
        return "current"

    with site.running(jp):
        job = site.enqueue(work)
        until(lambda: runs)
        site.place.sql("UPDATE {p}worker SET lease_until = 0")
        before = [row["id"] for row in site.place.sql("SELECT id FROM {p}worker")]
        sweep_now(site)
        assert site.result(job) == "current"
        may_end.set()
        until(lambda: {worker.id for worker in site.do(jp, "workers")} - set(before))
    record = site.seen(job)
    assert record.state is State.SUCCEEDED
    assert record.losses >= 1
    told = site.outcomes(jp, job)
    assert (told[0], told[-1]) == ("lost", "succeeded")


def sweep_now(site: Site) -> None:
    """Sweep as another host's worker would, and run what comes back."""
    store, _ = open_stores(site.place, site.clock)
    (swept,) = store.run(ops.sweep([]))
    assert len(swept.queued) == 1
    store.close()


def test_jobs_of_a_worker_that_vanished_are_taken_over(site: Site, jp: Jobpipe) -> None:
    declare(jp)
    site.do(jp, "counts")
    store, _ = open_stores(site.place, site.clock)
    about = NewWorker(name="gone", host="elsewhere", pid=1, pid_started="1", slots=1, queues=["*"])
    worker = store.run(ops.register(about, 15_000_000))
    ids = [answer.id for answer in store.run(enqueue([new_job(task="work", args='{"n":1}')] * 3))]
    assert len(store.run(claim.claim(worker, [Lane("default", 0)], 2, after={}, done=()))) == 2
    store.close()
    # On SQLite a worker that has just begun grants the others one lease of its own.
    with site.running(jp, lease_seconds=1):
        until(lambda: site.do(jp, "counts")["succeeded"] == 1)
        assert site.do(jp, "counts")["running"] == 2
        site.clock.advance(MINUTE)
        until(lambda: site.do(jp, "counts")["succeeded"] == 3)
    assert [site.outcomes(jp, site.do(jp, "job", id)) for id in ids] == [
        ["lost", "succeeded"],
        ["lost", "succeeded"],
        [],
    ]


def test_old_jobs_are_pruned_by_a_worker(site: Site) -> None:
    jp = site.jobpipe(retention="succeeded=1h,failed=never")

    @jp.task(max_attempts=1, name="work")
    def work(fail: bool) -> None:
        assert not fail

    jobs = [site.enqueue(work, False), site.enqueue(work, True)]
    site.drain(jp)
    site.clock.advance(120 * MINUTE)
    with site.running(jp):
        until(lambda: site.do(jp, "counts")["succeeded"] == 0)
    assert site.seen(jobs[1]).reason is Reason.ATTEMPTS_EXHAUSTED
    assert [job.id for job in site.do(jp, "jobs")] == [jobs[1].id]


def test_a_worker_that_cannot_begin_says_why(site: Site) -> None:
    with pytest.raises(ConfigError):
        site.jobpipe(queues="mail:0")
