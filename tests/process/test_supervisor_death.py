"""A worker process that dies: who is charged, who is not, and how soon all goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from jobpipe.model.state import Reason, State
from jobpipe.model.worker import WorkerRecord
from tests.process.supervised import Supervised, children_of
from tests.servers.postgres import PostgresServer
from tests.waiting import is_alive


@pytest.mark.parametrize(
    "how, cause",
    [
        ({"signal": 11}, r"killed by signal 11 \(SIGSEGV\)"),
        ({"code": 7}, r"exited with code 7"),
    ],
)
def test_who_kills_the_worker_alone_is_charged_with_the_cause(
    ward: Supervised, how: dict[str, int], cause: str
) -> None:
    ward.start()
    job = ward.jp.job(ward.die(**how))
    ward.until(lambda: job.refresh().state is State.FAILED, "the end of the poison")
    record = job.record
    assert record is not None
    assert (record.reason, record.attempt, record.losses) == (Reason.ATTEMPTS_EXHAUSTED, 2, 0)
    assert '"type":"WorkerDied"' in str(record.error)
    expected = rf"the worker process died while it ran this job alone: {cause} \(peak memory \d+ MB"
    assert re.search(expected, str(record.error)), record.error
    assert ("Segmentation fault" in str(record.error)) is ("signal" in how)
    pids = [pid for pid, _ in ward.noted("die", 2)]
    assert len(set(pids)) == 2
    assert [each["charged"] for each in ward.until_events("ChildBuried", 2)] == [1, 1]
    after = ward.jp.job(ward.ask_pid())
    assert after.result(20) not in pids


def test_what_ran_beside_each_other_is_suspect_and_uncharged(ward: Supervised) -> None:
    ward.start()
    held = [ward.hold(name) for name in ("a", "b")]
    (pid, _), _ = ward.noted("a")[0], ward.noted("b")
    ward.let_go("a")
    ward.let_go("b")
    for id in held:
        ward.jp.job(id).result(20)
    held = [ward.hold(name) for name in ("c", "d")]
    ward.noted("c")
    ward.noted("d")
    os.kill(pid, signal.SIGKILL)
    (buried,) = ward.until_events("ChildBuried")
    assert (buried["charged"], buried["suspects"], buried["given_back"]) == (0, 2, 0)
    for name in ("c", "d"):
        ward.let_go(name)
    for id in held:
        assert ward.jp.job(id).result(20) != pid
        record = ward.jp.job(id).record
        assert record is not None
        assert (record.attempt, record.losses) == (1, 0)


def test_what_must_not_run_twice_fails_as_lost(ward: Supervised) -> None:
    ward.start()
    once, other = ward.hold("once", task="hold_once"), ward.hold("other")
    (pid, _) = ward.noted("once")[0]
    ward.noted("other")
    os.kill(pid, signal.SIGKILL)
    ward.until(lambda: ward.jp.job(once).state is State.FAILED, "the end of the lost job")
    record = ward.jp.job(once).record
    assert record is not None
    assert record.reason is Reason.LOST
    assert "beside 1 other: killed by signal 9 (SIGKILL)" in str(record.error)
    ward.let_go("other")
    ward.jp.job(other).result(20)
    assert len(ward.noted("once")) == 1


def test_after_kill_9_the_job_runs_again_within_a_second(ward: Supervised) -> None:
    """Within a second where the machine is free: elsewhere within four loads of the package."""
    ward.start()
    for attempt in range(5):
        name = f"job{attempt}"
        job = ward.hold(name)
        (pid, _) = ward.noted(name)[0]
        killed = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        again, began = ward.noted(name, 2)[1]
        ward.let_go(name)
        assert ward.jp.job(job).result(20) == again != pid
        if (began - killed) / 1e9 < max(1.0, 4 * _seconds_to_load()):
            return
    raise AssertionError("no job ran again so soon")


def _seconds_to_load() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import jobpipe, asyncpg, psycopg"], check=True)
    return time.monotonic() - began


def test_a_supervisor_takes_its_workers_along(ward: Supervised) -> None:
    first = ward.start("--processes", "2")
    ward.until_events("WorkerStarted", 2)
    job = ward.hold("job")
    (pid, _) = ward.noted("job")[0]
    children = children_of(first.pid)
    assert len(children) == 2
    first.kill()
    first.wait()
    ward.until(lambda: not any(is_alive(each) for each in children), "the end of the children")
    ward.start()
    (swept,) = [each for each in ward.until_events("WorkerSwept") if each["queued"]]
    assert swept["queued"] == 1
    again, _ = ward.noted("job", 2)[1]
    ward.let_go("job")
    assert ward.jp.job(job).result(20) == again != pid


def test_a_worker_keeps_its_lease_while_its_supervisor_stands_still(ward: Supervised) -> None:
    supervisor = ward.start(JOBPIPE_LEASE_SECONDS="1")
    job = ward.hold("job")
    (pid, _) = ward.noted("job")[0]
    ward.start("--name", "other", JOBPIPE_LEASE_SECONDS="1")
    ward.until_events("WorkerStarted", 2)
    supervisor.send_signal(signal.SIGSTOP)
    first = min(ward.jp.workers(), key=lambda worker: worker.id)
    ward.until(lambda: _worker(ward, first.id).seen_at > first.seen_at + 3_000_000, "renewals")
    supervisor.send_signal(signal.SIGCONT)
    ward.let_go("job")
    assert ward.jp.job(job).result(20) == pid
    assert len(ward.noted("job")) == 1
    assert ward.events("WorkerSwept") == ward.events("LeaseEnded") == []


def test_a_worker_that_is_told_to_stop_alone_ends_in_good_order_and_is_replaced(
    on_sqlite: Supervised,
) -> None:
    supervisor = on_sqlite.start()
    job = on_sqlite.hold("job")
    (pid, _) = on_sqlite.noted("job")[0]
    os.kill(pid, signal.SIGTERM)
    on_sqlite.until_events("ChildReplaced")
    other = on_sqlite.jp.job(on_sqlite.ask_pid()).result(20)
    assert other != pid
    on_sqlite.let_go("job")
    assert on_sqlite.jp.job(job).result(20) == pid
    on_sqlite.until(lambda: children_of(supervisor.pid) == [other], "the end of the old worker")
    assert on_sqlite.events("ChildDied") == []


def test_a_burial_waits_until_the_store_is_back(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    ward = Supervised(postgres_url, tmp_path)
    try:
        ward.start(JOBPIPE_LEASE_SECONDS="30")
        job = ward.hold("job")
        (pid, _) = ward.noted("job")[0]
        postgres_server.stop()
        os.kill(pid, signal.SIGKILL)
        ward.until(
            lambda: [e for e in ward.events("StoreLost") if "settling" in e["doing"]],
            "a burial that cannot be written",
        )
        postgres_server.start()
        assert ward.until_events("ChildBuried")[0]["charged"] == 1
        ward.noted("job", 2)
        ward.let_go("job")
        assert ward.jp.job(job).result(20) != pid
    finally:
        ward.close()


def test_no_process_is_left_when_it_has_ended(on_sqlite: Supervised) -> None:
    supervisor = on_sqlite.start("--processes", "2")
    on_sqlite.until_events("WorkerStarted", 2)
    for _ in range(2):
        victim = children_of(supervisor.pid)[0]
        os.kill(victim, signal.SIGKILL)
        on_sqlite.until(partial(_is_gone, victim), "the reaping")
        on_sqlite.until(lambda: len(children_of(supervisor.pid)) == 2, "the replacement")
    children = children_of(supervisor.pid)
    on_sqlite.until_events("WorkerStarted", 4)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    assert all(_is_gone(each) for each in children)
    assert on_sqlite.jp.workers() == []


def _worker(ward: Supervised, id: int) -> WorkerRecord:
    return next(worker for worker in ward.jp.workers() if worker.id == id)


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_task_that_holds_the_interpreter_keeps_its_lease(ward: Supervised) -> None:
    """Three leases long, with another worker beside it that would sweep it."""
    ward.start("--processes", "2", JOBPIPE_LEASE_SECONDS="1")
    ward.until_events("WorkerStarted", 2)
    job = ward.jp.enqueue_named("hold_interpreter", {"folder": str(ward.folder)})
    assert job.result(20) == ward.noted("interpreter")[0][0]
    record = job.refresh().record
    assert record is not None
    assert (record.attempt, record.losses, record.token) == (1, 0, 1)
    assert ward.events("WorkerSwept") == ward.events("LeaseEnded") == []


def test_a_worker_without_a_pulse_shows_its_stacks_and_is_replaced(ward: Supervised) -> None:
    ward.start(JOBPIPE_PULSE_SECONDS="2", JOBPIPE_LEASE_SECONDS="1")
    stuck = ward.jp.enqueue_named("stand_still")
    ward.until(lambda: stuck.refresh().state is State.FAILED, "the end of what held up the loop")
    record = stuck.record
    assert record is not None
    assert "while it ran this job alone: no pulse for 2 s" in str(record.error)
    assert "in stand_still" in str(record.error)
    assert "in stand_still" in ward.text()
    assert ward.events("WorkerSwept") == []
    ward.jp.job(ward.ask_pid()).result(20)


SLOW_END = """
from jobpipe import Jobpipe
import asyncio
jp = Jobpipe()
@jp.lifespan
async def shared():
    yield
    await asyncio.sleep(1.5)
    print("torn down", flush=True)
"""


def test_a_loop_that_turns_is_alive_also_when_there_is_no_lease(
    ward: Supervised, tmp_path: Path
) -> None:
    (tmp_path / "slow_end.py").write_text(SLOW_END, encoding="utf-8")
    program = ward.start("slow_end:jp", "--burst", cwd=tmp_path, JOBPIPE_PULSE_SECONDS="0.5")
    assert program.wait(20) == 0
    assert "torn down" in ward.text()
    assert ward.events("ChildStuck") == []
