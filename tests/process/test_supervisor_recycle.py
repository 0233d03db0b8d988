"""Worker processes that are replaced between jobs, several of them, and bursts."""

from __future__ import annotations

import itertools

import pytest

from jobpipe.model.state import State
from tests.process.supervised import Supervised, children_of


@pytest.mark.parametrize("most", [1, 3])
def test_a_worker_takes_exactly_so_many_jobs(ward: Supervised, most: int) -> None:
    ids = [ward.ask_pid() for _ in range(2 * most + 1)]
    ward.start("--max-jobs", str(most))
    pids = [ward.jp.job(id).result(20) for id in ids]
    runs = [len(list(same)) for _, same in itertools.groupby(sorted(pids))]
    assert sorted(runs) == sorted([most, most, 1])


def test_a_worker_that_retires_ends_what_it_runs(on_sqlite: Supervised) -> None:
    supervisor = on_sqlite.start("--max-jobs", "2", "-c", "1")
    first = on_sqlite.jp.job(on_sqlite.ask_pid()).result(20)
    long = on_sqlite.hold("long")
    assert on_sqlite.noted("long")[0][0] == first
    other = on_sqlite.jp.job(on_sqlite.ask_pid()).result(20)
    assert other != first
    assert first in children_of(supervisor.pid)
    on_sqlite.let_go("long")
    assert on_sqlite.jp.job(long).result(20) == first
    on_sqlite.until(lambda: first not in children_of(supervisor.pid), "the end of the old worker")
    assert on_sqlite.events("ChildDied") == []


def test_an_old_worker_is_replaced_without_a_gap(ward: Supervised) -> None:
    ward.start("--max-seconds", "1")
    first = ward.jp.job(ward.ask_pid()).result(20)
    ward.until_events("ChildReplaced", 2)
    told = [record["event"] for record in ward.records()]
    for count in (1, 2):
        stopping = [at for at, name in enumerate(told) if name == "WorkerStopping"]
        started = [at for at, name in enumerate(told) if name == "WorkerStarted"]
        assert started[count] < (stopping[count - 1 :] or [len(told)])[0]
    assert ward.jp.job(ward.ask_pid()).result(20) != first
    assert ward.events("ChildDied") == []
    assert all("s old" in each["why"] for each in ward.events("ChildReplaced"))


def test_a_worker_that_holds_much_memory_is_replaced(on_sqlite: Supervised) -> None:
    on_sqlite.start("--max-memory", "150")
    small = on_sqlite.jp.enqueue_named("fill", {"megabytes": 1}).result(20)
    large = on_sqlite.jp.enqueue_named("fill", {"megabytes": 200}).result(20)
    assert small == large
    (replaced,) = on_sqlite.until_events("ChildReplaced")
    assert "MB of memory" in replaced["why"]
    assert on_sqlite.jp.job(on_sqlite.ask_pid()).result(20) != large


def test_two_processes_have_names_and_share_the_work(ward: Supervised) -> None:
    supervisor = ward.start("--processes", "2", "--name", "w", "-c", "1")
    held = [ward.hold(name) for name in ("a", "b")]
    pids = {ward.noted(name)[0][0] for name in ("a", "b")}
    assert pids == set(children_of(supervisor.pid))
    assert sorted(each.name for each in ward.jp.workers()) == ["w-1", "w-2"]
    for name, id in zip(("a", "b"), held, strict=True):
        ward.let_go(name)
        ward.jp.job(id).result(20)
    assert ward.text().count("Jobpipe worker: ") == 1


@pytest.mark.parametrize("words", [[], ["--max-jobs", "2"], ["--processes", "2"]])
def test_a_burst_ends_when_nothing_is_left(ward: Supervised, words: list[str]) -> None:
    ids = [ward.ask_pid() for _ in range(5)]
    assert ward.start("--burst", *words).wait(30) == 0
    assert {ward.jp.job(id).state for id in ids} == {State.SUCCEEDED}
    assert ward.jp.workers() == []


def test_a_burst_goes_on_after_a_death(on_sqlite: Supervised) -> None:
    poison, ids = on_sqlite.die(code=9), [on_sqlite.ask_pid() for _ in range(3)]
    assert on_sqlite.start("--burst", "-c", "1").wait(30) == 0
    assert on_sqlite.jp.job(poison).state is State.FAILED
    assert {on_sqlite.jp.job(id).state for id in ids} == {State.SUCCEEDED}
