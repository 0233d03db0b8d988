"""What becomes of the jobs of a dead worker process, settled by its supervisor."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.model.change import UNKNOWN, Change
from jobpipe.model.gate import GateKind, Wish
from jobpipe.model.job import Claimed, Lane
from jobpipe.model.marks import GATED
from jobpipe.model.state import Reason, State
from jobpipe.runtime.supervisor.burial import Buried, Remains, bury
from jobpipe.runtime.supervisor.messages import Facts, LossRule
from jobpipe.store.ops import steer
from jobpipe.store.ops import worker as workers
from jobpipe.store.ops.admit import admit
from jobpipe.store.port import Capabilities, Operation
from tests.conformance.lab import LANE, Lab

FACTS = Facts(
    url="",
    pooler="none",
    listen_url=None,
    schema="jobpipe",
    table_prefix="jobpipe_",
    is_shared=True,
    lease_seconds=15.0,
    pulse_seconds=60.0,
    shutdown_seconds=30.0,
    retry_delays="30",
    max_payload=100_000,
    processes=1,
    max_seconds=None,
    max_memory=None,
    health_port=None,
    rules={"quick": LossRule(delays="2"), "once": LossRule(on_loss="fail")},
)
SECOND_NS = 1_000_000_000


class Bench:
    """A worker with claimed jobs, whose process has died."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hints: list[Hint] = []
        self.hub = Hub()
        self.hub.subscribe(self.hints.append)
        self.worker = lab.worker()

    @property
    def capabilities(self) -> Capabilities:
        return self.lab.capabilities

    def run(self, operation: Operation[Any]) -> Any:
        return self.lab.run(operation)

    def close(self) -> None:
        """The lab closes the store."""

    def claimed(self, *tasks: str, **fields: Any) -> list[Claimed]:
        for task in tasks:
            self.lab.new(task=task, **fields)
        return self.lab.claim(self.worker)

    def bury(self, started: Sequence[Claimed], **changed: Any) -> Buried:
        now = time.monotonic_ns()
        remains: dict[str, Any] = {
            "workers": [self.worker],
            "started": {(job.id, job.token): now - 3 * SECOND_NS for job in started},
            "ended": set(),
            "died_ns": now,
            "cause": "killed by signal 11 (SIGSEGV)",
            "peak_bytes": 5 * 1024 * 1024,
            "dump": "Fatal Python error\n",
            "blameless": False,
            "facts": FACTS,
        }
        return bury(self, self.hub, Remains(**{**remains, **changed}))


@pytest.fixture
def bench(lab: Lab) -> Bench:
    return Bench(lab)


def test_what_ran_alone_is_charged_and_the_rest_is_given_back(lab: Lab, bench: Bench) -> None:
    culprit, waited = bench.claimed("t", "t")
    assert bench.bury([culprit]) == Buried(charged=1, given_back=1)
    charged, back = lab.job(culprit.id), lab.job(waited.id)
    assert (charged.state, charged.attempt, charged.losses) == (State.RETRYING, 1, 0)
    assert (back.state, back.attempt, back.losses) == (State.QUEUED, 0, 0)
    assert charged.due_at is not None
    assert 29_000_000 < charged.due_at - lab.now() <= 30_000_000
    assert json.loads(str(charged.error)) == {
        "type": "WorkerDied",
        "message": "the worker process died while it ran this job alone: "
        "killed by signal 11 (SIGSEGV) (peak memory 5 MB)",
        "traceback": "Fatal Python error\n",
    }
    (attempt,) = lab.attempts(culprit.id)
    assert (attempt.number, attempt.outcome) == (1, "failed")
    assert attempt.started_at is not None
    assert attempt.finished_at is not None
    assert 2_900_000 < attempt.finished_at - attempt.started_at < 3_100_000
    assert lab.run(workers.workers()) == []
    lanes = {Lane("default", 0): waited.rank}
    assert {(hint.due_in_us, tuple(hint.lanes.items())) for hint in bench.hints} >= {
        (30_000_000, ()),
        (None, tuple(lanes.items())),
    }
    assert Hint(changes=UNKNOWN) in bench.hints
    told = [change for hint in bench.hints if hint.changes for change in hint.changes.jobs]
    assert Change(culprit.id, State.RETRYING, culprit.queue) in told
    assert Change(waited.id, State.QUEUED, waited.queue) in told
    assert lab.counts() == lab.recount()


def test_a_task_has_its_own_delays_and_number_of_attempts(lab: Lab, bench: Bench) -> None:
    (quick,) = bench.claimed("quick")
    bench.bury([quick])
    record = lab.job(quick.id)
    assert record.due_at is not None
    assert 1_000_000 < record.due_at - lab.now() <= 2_000_000
    last = Bench(lab)
    (job,) = last.claimed("t", max_attempts=1)
    last.bury([job])
    ended = lab.job(job.id)
    assert (ended.state, ended.reason) == (State.FAILED, Reason.ATTEMPTS_EXHAUSTED)


def test_several_are_suspects_and_none_is_charged(lab: Lab, bench: Bench) -> None:
    first, second, waited = bench.claimed("t", "t", "t")
    assert bench.bury([first, second]) == Buried(suspects=2, given_back=1)
    for job in (first, second, waited):
        record = lab.job(job.id)
        assert (record.state, record.attempt, record.losses) == (State.QUEUED, 0, 0)
    again = {job.id: job.suspect for job in lab.claim(lab.worker())}
    assert again == {first.id: True, second.id: True, waited.id: False}


def test_a_suspect_that_ran_apart_is_not_to_blame_while_another_ran_in_the_worker(
    lab: Lab, bench: Bench
) -> None:
    bench.bury(bench.claimed("t"))  # charged, and due again after its delay
    first, second = bench.claimed("t", "t")
    bench.bury([first, second])
    after = Bench(lab)
    jobs = {job.id: job for job in after.claimed("t")}
    culprit = next(job for job in jobs.values() if not job.suspect)
    assert after.bury(list(jobs.values())) == Buried(charged=1, suspects=2)
    assert lab.job(culprit.id).state is State.RETRYING
    for job in (first, second):
        record = lab.job(job.id)
        assert (record.state, record.attempt, record.losses) == (State.QUEUED, 0, 0)


def test_where_only_suspects_ran_each_counts_a_loss(lab: Lab, bench: Bench) -> None:
    jobs = bench.claimed("t", "t")
    bench.bury(jobs)
    for losses in (1, 2):
        worker = Bench(lab)
        assert worker.bury(lab.claim(worker.worker)) == Buried(suspects=2)
        assert [lab.job(job.id).losses for job in jobs] == [losses, losses]
    last = Bench(lab)
    last.bury(lab.claim(last.worker))
    assert [(lab.job(job.id).state, lab.job(job.id).reason) for job in jobs] == [
        (State.FAILED, Reason.LOST)
    ] * 2


def test_what_had_just_ended_is_suspect_if_nothing_ran(lab: Lab, bench: Bench) -> None:
    ended, waited = bench.claimed("t", "t")
    keys = {(ended.id, ended.token)}
    assert bench.bury([], ended=keys) == Buried(suspects=1, given_back=1)
    again = {job.id: job.suspect for job in lab.claim(lab.worker())}
    assert again == {ended.id: True, waited.id: False}


def test_what_had_just_ended_is_not_suspect_if_another_ran(lab: Lab, bench: Bench) -> None:
    ended, running = bench.claimed("t", "t")
    keys = {(ended.id, ended.token)}
    assert bench.bury([running], ended=keys) == Buried(charged=1, given_back=1)


def test_a_run_that_its_job_no_longer_waits_for_makes_the_other_a_suspect(
    lab: Lab, bench: Bench
) -> None:
    late, other = bench.claimed("t", "t")
    lab.finish(late, State.FAILED)
    assert bench.bury([late, other]) == Buried(suspects=1)
    assert lab.job(late.id).state is State.FAILED


def test_what_must_not_run_twice_is_lost(lab: Lab, bench: Bench) -> None:
    once, other = bench.claimed("once", "t")
    assert bench.bury([once, other]) == Buried(charged=1, suspects=1)
    record = lab.job(once.id)
    assert (record.state, record.reason) == (State.FAILED, Reason.LOST)
    assert "while it ran this job beside 1 other: killed" in str(record.error)
    unstarted = Bench(lab)
    (job, _) = unstarted.claimed("once")
    unstarted.bury([])
    assert lab.job(job.id).state is State.QUEUED


def test_what_was_to_be_cancelled_is_cancelled(lab: Lab, bench: Bench) -> None:
    first, second, third = bench.claimed("t", "t", "t")
    for job in (first, third):
        lab.run(steer.cancel(job.id, Reason.BY_USER))
    bench.bury([first, second])
    states = [lab.job(job.id).state for job in (first, second, third)]
    assert states == [State.CANCELLED, State.QUEUED, State.CANCELLED]


def test_nobody_is_blamed_when_the_supervisor_ended_it(lab: Lab, bench: Bench) -> None:
    (job,) = bench.claimed("once")
    assert bench.bury([job], blameless=True) == Buried(given_back=1)
    assert lab.job(job.id).state is State.QUEUED
    assert not lab.claim(lab.worker(), lanes=[LANE])[0].suspect


def test_what_has_started_comes_to_its_gates_and_the_rest_into_the_queue(
    lab: Lab, bench: Bench
) -> None:
    wishes = (Wish(GateKind.CONCURRENCY, "k", '{"n":3}'),)
    for _ in range(3):
        lab.new(marks=GATED, wishes=wishes)
    lab.run(admit())
    ran, ended, waited = lab.claim(bench.worker)
    gone = {(ended.id, ended.token)}
    assert bench.bury([ran], ended=gone, blameless=True) == Buried(given_back=3)
    states = [lab.job(job.id).state for job in (ran, ended, waited)]
    assert states == [State.BLOCKED, State.BLOCKED, State.QUEUED]
    assert Hint(gates=True) in bench.hints


def test_burying_twice_changes_nothing_more(lab: Lab, bench: Bench) -> None:
    (job,) = bench.claimed("t")
    bench.bury([job])
    before = lab.job(job.id)
    assert bench.bury([job]) == Buried()
    assert lab.job(job.id) == before


def test_what_was_swept_before_is_left_alone(lab: Lab, bench: Bench) -> None:
    (job,) = bench.claimed("t")
    lab.run(workers.sweep([bench.worker]))
    assert bench.bury([job]) == Buried()
    assert lab.job(job.id).losses == 1
