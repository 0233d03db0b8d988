"""Tasks in processes of their own: every way to end, and what the worker makes of it."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jobpipe import Job, Jobpipe, Reason, State
from jobpipe.errors import JobCancelled, JobFailed
from tests.conformance.app.site import Site
from tests.conformance.clock import SECOND
from tests.waiting import is_alive, until

# What runs in a process of its own is the same on every store: two drivers show that it is wired.
pytestmark = pytest.mark.parametrize("site", ["sqlite-sync", "postgresql-async"], indirect=True)

MODULE = "tests.conformance.app.apart"


@pytest.fixture
def apart(jp: Jobpipe, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tasks, in an application on this store; each test imports them anew."""
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    module = importlib.import_module(MODULE)
    jp.include(module.tasks)
    return module


def logged(site: Site, jp: Jobpipe, job: Job[Any]) -> list[tuple[str, str]]:
    return [(line.logger, line.message) for line in site.do(jp, "logs", job.id, limit=5_000)]


def test_a_result_comes_out_of_a_process_that_is_kept(
    site: Site, jp: Jobpipe, apart: ModuleType
) -> None:
    with site.running(jp, concurrency=1):
        first = site.result(site.enqueue(apart.add, 1, b=2))
        second = site.result(site.enqueue(apart.add_on_loop, 3, 4))
        assert site.result(site.enqueue(apart.main_thread)) is True
    assert (first.a, first.b, second.a, second.b) == (1, 2, 3, 4)
    assert first.pid == second.pid != os.getpid()
    assert not is_alive(first.pid)


def test_what_a_task_raises_is_judged_as_in_the_worker(
    site: Site, jp: Jobpipe, apart: ModuleType
) -> None:
    hows = ("fail", "cancel", "retry", "snooze", "own", "exit")
    jobs = {how: site.enqueue(apart.speak.using(max_attempts=2), how) for how in hows}
    site.drain(jp)
    found = {how: site.seen(job) for how, job in jobs.items()}
    assert {how: (job.state, job.reason, job.attempt) for how, job in found.items()} == {
        "fail": (State.FAILED, Reason.FATAL, 1),
        "cancel": (State.CANCELLED, Reason.BY_USER, 1),
        "retry": (State.RETRYING, None, 1),
        "snooze": (State.SCHEDULED, None, 0),
        "own": (State.FAILED, Reason.ATTEMPTS_EXHAUSTED, 2),
        "exit": (State.FAILED, Reason.ATTEMPTS_EXHAUSTED, 2),
    }
    now = site.do(jp, "health")
    assert 3500 * SECOND < (found["retry"].due_at or 0) - now <= 3600 * SECOND
    error = jobs["own"].error
    assert error is not None
    assert (error["type"], error["message"]) == ("OwnError", "mine")
    assert "in speak" in error["traceback"]
    assert "serving.py" not in error["traceback"]


def test_which_failures_are_worth_another_attempt(
    site: Site, jp: Jobpipe, apart: ModuleType
) -> None:
    jobs = {kind: site.enqueue(apart.pick, kind) for kind in ("os", "file", "own")}
    site.drain(jp)
    found = {kind: site.seen(job) for kind, job in jobs.items()}
    assert {kind: (job.reason, job.attempt) for kind, job in found.items()} == {
        "os": (Reason.ATTEMPTS_EXHAUSTED, 2),
        "file": (Reason.FATAL, 1),
        "own": (Reason.FATAL, 1),
    }


DEATHS = {
    "segfault": "the process of this job died: killed by signal 11 (SIGSEGV)",
    "kill": "the process of this job died: killed by signal 9 (SIGKILL)",
    "0": "the process of this job died: exited with code 0 before the job had ended",
    "7": "the process of this job died: exited with code 7",
}


def test_a_death_is_charged_to_its_job_alone(site: Site, jp: Jobpipe, apart: ModuleType) -> None:
    with site.running(jp):
        jobs = {how: site.enqueue(apart.die.using(max_attempts=2), how) for how in DEATHS}
        neighbours = [site.enqueue(apart.add, n, n) for n in range(4)]
        for job in jobs.values():
            with pytest.raises(JobFailed, match="died"):
                site.result(job)
        assert [site.result(each).a for each in neighbours] == [0, 1, 2, 3]
    for how, job in jobs.items():
        record = site.seen(job)
        assert (record.reason, record.attempt) == (Reason.ATTEMPTS_EXHAUSTED, 2)
        assert job.error is not None
        assert (job.error["type"], job.error["message"]) == ("ProcessDied", DEATHS[how])
        assert site.outcomes(jp, job) == ["failed", "failed"]
        assert ("apart", "last words") in logged(site, jp, job)
    trace = (jobs["segfault"].error or {})["traceback"]
    assert "Fatal Python error: Segmentation fault" in trace
    assert "in die" in trace
    assert {site.seen(each).attempt for each in neighbours} == {1}


def test_limits_hold_and_name_the_cause(site: Site, jp: Jobpipe, apart: ModuleType) -> None:
    with site.running(jp):
        jobs = [site.enqueue(task) for task in (apart.eat_memory, apart.burn, apart.leak)]
        free = site.result(site.enqueue(apart.add, 1, 1))
        causes = []
        for job in jobs:
            with pytest.raises(JobFailed):
                site.result(job)
            causes.append((site.seen(job).attempt, (job.error or {})["type"]))
        assert site.result(site.enqueue(apart.add, 1, 1)).pid == free.pid
    assert causes == [(1, "MemoryError"), (1, "ProcessDied"), (1, "OSError")]
    assert "SIGXCPU" in (jobs[1].error or {})["message"]


@pytest.mark.parametrize("name", ["wait_long", "await_long"])
@pytest.mark.parametrize("why", ["cancel", "timeout"])
def test_what_is_ended_from_outside_may_clean_up(
    site: Site, jp: Jobpipe, apart: ModuleType, tmp_path: Path, name: str, why: str
) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    task = getattr(apart, name).using(timeout=0.5 if why == "timeout" else None)
    with site.running(jp, concurrency=1):
        job = site.enqueue(task, str(begun), str(ended))
        if why == "cancel":
            until(begun.exists)
            site.do(job, "cancel")
            with pytest.raises(JobCancelled):
                site.result(job)
        else:
            with pytest.raises(JobFailed, match="time-out"):
                site.result(job)
        assert ended.read_text() == "True"
        assert site.result(site.enqueue(apart.add, 1, 2)).a == 1, "the slot is free again"
    assert site.outcomes(jp, job) == ["cancelled" if why == "cancel" else "timed_out"]


def test_who_will_not_listen_is_killed_with_all_it_forked(
    site: Site, jp: Jobpipe, apart: ModuleType, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    with site.running(jp, concurrency=1):
        job = site.enqueue(apart.turn_deaf.using(timeout=1), str(begun))
        began = time.monotonic()
        with pytest.raises(JobFailed, match="time-out"):
            site.result(job)
        assert time.monotonic() - began < 8
        assert site.result(site.enqueue(apart.add, 1, 2)).a == 1
    assert site.seen(job).reason is Reason.TIMED_OUT
    until(lambda: not is_alive(int(begun.read_text())))


def test_what_a_job_leaves_behind_is_ended_and_its_process_replaced(
    site: Site, jp: Jobpipe, apart: ModuleType
) -> None:
    with site.running(jp, concurrency=1):
        pid, heir = site.result(site.enqueue(apart.leave_an_heir))
        assert site.result(site.enqueue(apart.add, 1, 2)).pid != pid
        until(lambda: not is_alive(heir))
        assert not is_alive(pid)


def test_what_a_job_spoils_the_next_one_does_not_suffer(
    site: Site, jp: Jobpipe, apart: ModuleType, tmp_path: Path
) -> None:
    ended = tmp_path / "ended"
    with site.running(jp, concurrency=1):
        pids = [site.result(site.enqueue(apart.spoil, how)) for how in ("limit", "descriptors")]
        pids.append(site.result(site.enqueue(apart.spoil, "streams")))
        job = site.enqueue(apart.say)
        site.result(job)
        late = site.enqueue(apart.wait_long.using(timeout=0.3), str(tmp_path / "begun"), str(ended))
        with pytest.raises(JobFailed, match="time-out"):
            site.result(late)
    assert len(set(pids)) == 3
    assert ("stdout", "printed") in logged(site, jp, job)
    assert ended.exists(), "SIGTERM is heard again"


def test_a_process_is_given_no_secret_and_no_descriptor(
    site: Site, jp: Jobpipe, apart: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("OF_THE_USER", "passed on")
    with open(os.devnull) as inheritable:
        os.set_inheritable(inheritable.fileno(), True)
        with site.running(jp):
            audit = site.result(site.enqueue(apart.audit))
        with site.running(jp, process_env="DATABASE_URL"):
            told = site.result(site.enqueue(apart.audit))["environment"]
    # Standard input, output and error and a copy of that; the loop's own; the socket; the listing.
    assert sorted(audit["descriptors"]) == sorted(
        [os.devnull, "anon_inode", *["pipe"] * 3, *["socket"] * 3]
    )
    assert "OF_THE_USER" in audit["environment"]
    assert "DATABASE_URL" not in audit["environment"]
    assert "DATABASE_URL" in told


def test_a_process_may_enqueue_though_it_has_no_secret(
    site: Site, jp: Jobpipe, apart: ModuleType
) -> None:
    with site.running(jp):
        id = site.result(site.enqueue(apart.ask_for_more))
        assert site.result(site.do(jp, "job", id)).b == 2


def test_much_output_blocks_nobody_and_is_not_all_kept(
    site: Site, jp: Jobpipe, apart: ModuleType
) -> None:
    with site.running(jp):
        job = site.enqueue(apart.say_much, 100)
        assert site.result(job) == "said"
    lines = logged(site, jp, job)
    assert 0 < sum(len(message) for _, message in lines) < 2_000_000
    assert lines[-1][1].endswith("bytes more were written and not kept"), lines[-3:]


def test_what_a_process_says_is_the_jobs(site: Site, jp: Jobpipe, apart: ModuleType) -> None:
    with site.running(jp):
        job = site.enqueue(apart.say)
        site.result(job)
    assert sorted(logged(site, jp, job)) == sorted(
        [
            ("apart", "logged"),
            (apart.say.name, "told"),
            ("stderr", "written to descriptor 2, with a \\x00 and without an end"),
            ("stdout", "printed"),
        ]
    )
    progress = site.seen(job).progress
    assert progress is not None
    assert (progress.done, progress.total, progress.note) == (1, 2, "half")


def test_a_state_outlives_the_process(site: Site, jp: Jobpipe, apart: ModuleType) -> None:
    job = site.enqueue(apart.go_on)
    site.drain(jp)
    assert site.result(job) == {"cursor": 41}
    assert site.seen(job).attempt == 2


def test_threads_of_a_process_know_their_job(site: Site, jp: Jobpipe, apart: ModuleType) -> None:
    job = site.enqueue(apart.ask_in_threads)
    site.drain(jp)
    assert site.result(job) == [job.id, job.id]


def test_a_worker_that_stops_gives_back_what_runs_apart(
    site: Site, jp: Jobpipe, apart: ModuleType, tmp_path: Path
) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    deaf = tmp_path / "deaf"
    with site.running(jp, shutdown_seconds=0):
        job = site.enqueue(apart.wait_long, str(begun), str(ended))
        other = site.enqueue(apart.turn_deaf, str(deaf))
        until(lambda: begun.exists() and deaf.exists() and deaf.read_text())
    for each in (job, other):
        record = site.seen(each)
        assert (record.state, record.attempt) == (State.QUEUED, 0)
    assert ended.exists()
    until(lambda: not is_alive(int(deaf.read_text())))


def test_who_closes_our_socket_is_found_dead(site: Site, jp: Jobpipe, apart: ModuleType) -> None:
    with site.running(jp):
        job = site.enqueue(apart.close_everything.using(max_attempts=1))
        with pytest.raises(JobFailed, match="died"):
            site.result(job)
        assert site.result(site.enqueue(apart.add, 1, 2)).a == 1


def test_that_a_success_is_stored_is_not_believed(
    site: Site, jp: Jobpipe, apart: ModuleType
) -> None:
    with site.running(jp, concurrency=1):
        assert site.result(site.enqueue(apart.claim_success)) == "said"


def test_a_task_that_no_module_declares_says_so(site: Site, jp: Jobpipe) -> None:
    @jp.task(executor="process", max_attempts=1)
    def hidden() -> None:
        return None

    job = site.enqueue(hidden)
    site.drain(jp)
    assert site.seen(job).state is State.FAILED
    assert "declare it at the top of a module" in (job.error or {})["message"]


def test_suspects_run_alone_in_a_fresh_process_with_everything(
    site: Site, jp: Jobpipe, apart: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "whole")
    jobs = [site.enqueue(apart.where), site.enqueue(apart.where), site.enqueue(apart.where_on_loop)]
    culprit = site.enqueue(apart.where.using(max_attempts=1), "die")
    ids = ",".join(str(job.id) for job in [*jobs, culprit])
    site.place.sql(
        f"UPDATE {{p}}job SET suspect = {site.place.is_file or 'true'} WHERE id IN ({ids})"
    )
    with site.running(jp):
        told = [site.result(job) for job in jobs]
        with pytest.raises(JobFailed, match="SIGKILL"):
            site.result(culprit)
        assert site.result(site.enqueue(apart.where))[0] == os.getpid()
    assert len({os.getpid(), *(pid for pid, _ in told)}) == 4
    assert {url for _, url in told} == {"whole"}


def test_a_start_that_fails_is_told(
    site: Site, jp: Jobpipe, apart: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart.add.function, "__module__", "no_such_module")
    job = site.enqueue(apart.add.using(max_attempts=1), 1, 2)
    site.drain(jp)
    assert "no_such_module" in (site.seen(job).error or "")


def test_many_jobs_share_few_processes(site: Site, jp: Jobpipe, apart: ModuleType) -> None:
    with site.running(jp, concurrency=2):
        jobs = [site.enqueue(apart.add, n, n) for n in range(40)]
        assert len({site.result(job).pid for job in jobs}) <= 2
    assert threading.active_count() < 40


def test_a_time_out_does_not_end_a_hook_in_the_process(
    site: Site, jp: Jobpipe, apart: ModuleType
) -> None:
    with site.running(jp):
        job = site.enqueue(apart.heard)
        process = site.result(job)
        assert site.result(site.enqueue(apart.heard)) == process, "it was not interrupted"
    assert ("hook", "heard of heard") in logged(site, jp, job)
