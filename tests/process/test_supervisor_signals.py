"""What a supervisor does when it is told to stop, to be quiet, or to show its stacks."""

from __future__ import annotations

import signal
import subprocess

import pytest

from jobpipe.model.state import State
from tests.process.supervised import Supervised, children_of
from tests.waiting import is_alive


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_waits_for_running_jobs_and_gives_back_the_rest(
    ward: Supervised, number: signal.Signals
) -> None:
    supervisor = ward.start("--processes", "2", JOBPIPE_SHUTDOWN_SECONDS="20")
    ward.until_events("WorkerStarted", 2)
    ends = ward.hold("ends")
    ward.noted("ends")
    supervisor.send_signal(number)
    ward.until_events("WorkerStopping", 2)
    ward.let_go("ends")
    assert supervisor.wait(20) == 0
    record = ward.jp.job(ends).record
    assert record is not None
    assert (record.state, record.attempt) == (State.SUCCEEDED, 1)
    assert ward.jp.workers() == []


def test_a_stop_ends_workers_that_have_not_begun(ward: Supervised) -> None:
    supervisor = ward.start("--processes", "3", JOBPIPE_SHUTDOWN_SECONDS="600")
    ward.until_events("ChildStarted", 3)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    assert ward.events("ChildDied") == []


def test_what_outlasts_the_grace_is_given_back_uncharged(ward: Supervised) -> None:
    supervisor = ward.start(JOBPIPE_SHUTDOWN_SECONDS="0.2")
    job = ward.hold("job")
    ward.noted("job")
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    record = ward.jp.job(job).record
    assert record is not None
    assert (record.state, record.attempt, record.losses) == (State.QUEUED, 0, 0)


def test_a_second_signal_stops_at_once(ward: Supervised) -> None:
    supervisor = ward.start(JOBPIPE_SHUTDOWN_SECONDS="600")
    job = ward.hold("job")
    ward.noted("job")
    supervisor.send_signal(signal.SIGTERM)
    ward.until_events("WorkerStopping")
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(20) == 128 + signal.SIGINT
    assert ward.jp.job(job).state is State.QUEUED


def test_children_that_do_not_stop_are_killed_and_nothing_is_charged(ward: Supervised) -> None:
    supervisor = ward.start(JOBPIPE_SHUTDOWN_SECONDS="0.2", JOBPIPE_PULSE_SECONDS="60")
    stuck = ward.jp.enqueue_named("stand_still")
    ward.until(lambda: stuck.refresh().state is State.RUNNING, "the start of the stuck job")
    (child,) = children_of(supervisor.pid)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    assert not is_alive(child)
    assert len(ward.events("ChildOutstayed")) == 1
    record = stuck.refresh().record
    assert record is not None
    assert (record.state, record.attempt, record.losses) == (State.QUEUED, 0, 0)


def test_sigtstp_takes_no_more_jobs_until_sigcont(ward: Supervised) -> None:
    supervisor = ward.start()
    running = ward.hold("running")
    (pid, _) = ward.noted("running")[0]
    supervisor.send_signal(signal.SIGTSTP)
    ward.until_events("SupervisorQuiet")
    ward.let_go("running")
    assert ward.jp.job(running).result(20) == pid
    waiting = ward.jp.job(ward.ask_pid())
    with pytest.raises(TimeoutError):
        waiting.result(0.7)
    assert waiting.refresh().state is State.QUEUED
    supervisor.send_signal(signal.SIGCONT)
    assert waiting.result(20) == pid


def test_sigusr1_shows_the_stacks_of_all(ward: Supervised) -> None:
    supervisor = ward.start()
    job = ward.hold("job")
    ward.noted("job")
    supervisor.send_signal(signal.SIGUSR1)
    ward.until(lambda: "in hold" in ward.text(), "the stacks of the child")
    assert "supervisor.py" in ward.text()
    assert f"stacks of the supervisor (pid {supervisor.pid}):" in ward.text()
    assert ward.jp.job(job).state is State.RUNNING
    ward.let_go("job")
    ward.jp.job(job).result(20)
    assert isinstance(supervisor, subprocess.Popen)
    assert supervisor.poll() is None
