"""Random lives of jobs on a real store, each step beside the model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobpipe.errors import DuplicateKey, InvalidTransition
from jobpipe.model.filter import Filter
from jobpipe.model.job import Claimed, Finish, Lane, NewJob
from jobpipe.model.state import FINAL, Reason, State, may
from jobpipe.model.takes import Takes
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, finish, read, steer, upkeep
from jobpipe.store.ops import worker as workers
from jobpipe.store.ops.claim import Held
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.port import Operation
from tests.conformance.clock import MovedClock
from tests.property.model import DELAY, ENDS, EXPIRY, KEEP, LEASE, Model, ModelJob, us

T = TypeVar("T")

LANES = [Lane("a", 0), Lane("a", 5), Lane("b", 0)]
NAMES = ("one", "two")
ALL = 1_000


class Ground:
    """What stays between the examples: an open store and its clock."""

    def __init__(
        self, run: Callable[[Operation[Any]], Any], clock: MovedClock, clear: Callable[[], None]
    ) -> None:
        self.run = run
        self.clock = clock
        self.clear = clear


class Lives(RuleBasedStateMachine):
    """Two workers, lost leases, moved clocks, stale writes."""

    ground: ClassVar[Ground]

    def __init__(self) -> None:
        super().__init__()
        self.ground.clear()
        self.model = Model()
        self.claims: list[Claimed] = []
        self.seen: dict[int, tuple[State, int, int]] = {}
        self.worker = {name: self.register(name) for name in NAMES}

    def run_op(self, operation: Operation[T]) -> T:
        answer: T = self.ground.run(operation)
        return answer

    def register(self, name: str) -> int:
        about = NewWorker(name=name, host="h", pid=1, pid_started="1", slots=1, queues=["*"])
        id = self.run_op(workers.register(about, us(LEASE)))
        self.model.leases[id] = self.model.now + LEASE
        return id

    @initialize(lane=st.sampled_from(LANES), count=st.integers(1, 3))
    def begin_with_jobs(self, lane: Lane, count: int) -> None:
        self.enqueue(lane, False, False, 3, None, "{}", count)

    @rule(
        lane=st.sampled_from(LANES),
        delayed=st.booleans(),
        expiring=st.booleans(),
        max_losses=st.sampled_from([1, 3]),
        key=st.sampled_from([None, None, "k", "l"]),
        args=st.sampled_from(["{}", '{"n":1}']),
        count=st.integers(1, 3),
    )
    def enqueue(
        self,
        lane: Lane,
        delayed: bool,
        expiring: bool,
        max_losses: int,
        key: str | None,
        args: str,
        count: int,
    ) -> None:
        delay = DELAY if delayed else None
        expires_in = EXPIRY if expiring else None
        job = NewJob(
            task="t",
            args=args,
            queue=lane.queue,
            priority=lane.priority,
            delay_us=None if delay is None else us(delay),
            expires_in_us=None if expires_in is None else us(expires_in),
            max_losses=max_losses,
            idempotency_key=key,
        )
        first = self.model.keys.get(key) if key else None
        if first and first[1] != args:
            with pytest.raises(DuplicateKey):
                self.run_op(enqueue([job] * count))
            return
        answers = self.run_op(enqueue([job] * count))
        if first:
            state = self.model.jobs[first[0]].state
            told = {(each.id, each.state, each.created) for each in answers}
            assert (len(answers), told) == (count, {(first[0], state, False)})
            return
        created = answers[:1] if key else answers
        assert [answer.created for answer in answers] == [True] * len(created) + [False] * (
            count - len(created)
        )
        for answer in created:
            assert answer.id not in self.model.jobs
            self.model.add(ModelJob(answer.id, lane, max_losses, key), delay, expires_in)
            assert answer.state is self.model.jobs[answer.id].state
        if key:
            self.model.keys[key] = (created[0].id, args)

    @rule(
        name=st.sampled_from(NAMES),
        lanes=st.permutations(LANES) | st.lists(st.sampled_from(LANES), min_size=1, unique=True),
        limit=st.integers(1, 4),
    )
    def claim(self, name: str, lanes: list[Lane], limit: int) -> None:
        self.claim_from(name, lanes, limit)

    def claim_from(self, name: str, lanes: list[Lane], limit: int) -> None:
        expected = self.model.claimable(lanes, limit)
        worker = self.worker[name]
        taken = self.run_op(claim.claim(worker, lanes, limit, after={}, done=()))
        assert [(job.id, job.rank) for job in taken] == [(job.id, job.rank) for job in expected]
        for got, job in zip(taken, expected, strict=True):
            before = job.token
            self.model.claim(job, worker)
            assert got.token == job.token > before
            assert got.attempt == job.attempt
            assert got.expired == (job.expires is not None and job.expires <= self.model.now)
        self.claims += taken

    @rule(name=st.sampled_from(NAMES))
    def claim_all(self, name: str) -> None:
        """Stands here so that much is claimed: only what was claimed can go wrong."""
        self.claim_from(name, LANES, ALL)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), state=st.sampled_from(list(ENDS)))
    def finish(self, data: st.DataObject, state: State) -> None:
        """End an attempt that may be the current one, or long gone."""
        held = data.draw(st.sampled_from(self.claims), label="claim")
        reason, outcome, charged = ENDS[state]
        end = Finish(
            id=held.id,
            token=held.token,
            state=state,
            reason=reason,
            outcome=outcome,
            delay_us=us(DELAY),
            charged=charged,
            ended_at_ns=time.monotonic_ns(),
        )
        taken = self.run_op(finish.finish([end], time.monotonic_ns()))
        if self.model.is_current(held):
            asked = self.model.jobs[held.id].cancel_requested
            assert taken == [finish.Finished(held.id, state, asked)]
            self.model.finish(held, state)
        else:
            assert taken == []

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.claims), label="claim")
        back = self.run_op(claim.give_back([Held(held.id, held.token, held.rank)]))
        if not self.model.is_current(held):
            assert back == []
            return
        self.model.give_back(held)
        job = self.model.jobs[held.id]
        queued = [(job.id, job.lane, job.rank)] if job.rank is not None else []
        assert [(each.id, each.lane, each.rank) for each in back] == queued

    @rule(beats=st.integers(1, 3))
    def time_passes(self, beats: int) -> None:
        self.ground.clock.advance(us(beats))
        self.model.now += beats

    @rule(name=st.sampled_from(NAMES))
    def renew(self, name: str) -> None:
        """A worker that was swept is told so, and comes back as another incarnation."""
        id = self.worker[name]
        alive = self.run_op(workers.renew(id, us(LEASE), {}))
        assert alive == (id not in self.model.ended)
        if alive:
            self.model.leases[id] = self.model.now + LEASE
        else:
            self.worker[name] = self.register(name)

    @rule(known=st.lists(st.sampled_from(NAMES), max_size=1))
    def sweep(self, known: list[str]) -> None:
        gone = [self.worker[name] for name in known]
        dead = self.model.dead(gone)
        swept = self.run_op(workers.sweep(gone))
        ids = {each.worker_id for each in swept}
        assert dead <= ids
        assert ids - dead <= self.model.ended  # records that an ended worker left, of ended jobs
        self.model.sweep(dead, {(held.id, held.token): held.rank for held in self.claims})
        for each in swept:
            for back in each.queued:
                assert self.model.jobs[back.id].rank == back.rank

    @rule(
        what=st.sampled_from(["promote", "promote", "expire", "unpark", "prune", "fold counters"])
    )
    def upkeep(self, what: str) -> None:
        """One step of what keeps a store in order; one rule, so that it leaves room for others."""
        match what:
            case "promote":
                self.promote()
            case "expire":
                assert len(self.run_op(upkeep.expire(ALL))) == self.model.expire()
            case "unpark":
                self.unpark()
            case "prune":
                keep = dict.fromkeys(FINAL, us(KEEP))
                assert self.run_op(upkeep.prune(0, ALL, keep)).deleted == self.model.prune()
            case "fold counters":
                self.run_op(upkeep.rollup())

    def promote(self) -> None:
        highest = self.model.highest_rank()
        moved = {each.id: each for each in self.run_op(upkeep.promote(ALL)).queued}
        queued = self.model.promote()
        assert set(moved) == {job.id for job in queued}
        for job in queued:
            job.rank = moved[job.id].rank
            assert job.rank > highest

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), again=st.booleans())
    def steer(self, data: st.DataObject, again: bool) -> None:
        """Cancel or re-run a job, which its state may forbid."""
        job = self.model.jobs[data.draw(st.sampled_from(sorted(self.model.jobs)), label="job")]
        if again:
            self.rerun(job)
        elif job.state in FINAL:
            with pytest.raises(InvalidTransition):
                self.run_op(steer.cancel(job.id, Reason.BY_USER))
        else:
            assert self.run_op(steer.cancel(job.id, Reason.BY_USER)) is self.model.cancel(job)

    def rerun(self, job: ModelJob) -> None:
        if job.state not in FINAL and job.state is not State.PARKED:
            with pytest.raises(InvalidTransition):
                self.run_op(steer.rerun(job.id))
            return
        highest = self.model.highest_rank()
        rank = self.run_op(steer.rerun(job.id)).rank
        assert rank > highest
        self.model.rerun(job, rank)

    def unpark(self) -> None:
        found = self.run_op(upkeep.find_parked([Takes("t")], [Reason.UNKNOWN_TASK], ALL))
        parked = self.model.parked()
        assert sorted(found) == sorted(job.id for job in parked)
        highest = self.model.highest_rank()
        ranks = {back.id: back.rank for back in self.run_op(upkeep.unpark(found)).queued}
        assert all(rank > highest for rank in ranks.values())
        self.model.unpark(ranks)

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        records = self.run_op(read.jobs(Filter(), ALL, lambda: True)).jobs
        stored = {
            job.id: {
                "state": job.state,
                "reason": job.reason,
                "token": job.token,
                "attempt": job.attempt,
                "losses": job.losses,
                "reruns": job.reruns,
                "cancel requested": job.cancel_requested_at is not None,
                "ended": job.finished_at is not None,
                "waits": job.due_at is not None,
                "lane": Lane(job.queue, job.priority),
                "key": job.idempotency_key,
            }
            for job in records
        }
        assert stored == {id: job.facts() for id, job in self.model.jobs.items()}
        for job in records:
            before, token, reruns = self.seen.get(job.id, (job.state, 0, 0))
            assert job.state is before or may(before, job.state, rerun=job.reruns > reruns)
            assert job.token >= token
            self.seen[job.id] = (job.state, job.token, job.reruns)

    @invariant()
    def nothing_is_lost_or_counted_twice(self) -> None:
        counts = {key: n for key, n in self.run_op(read.counts()).items() if n}
        assert counts == self.model.counts()
        assert sum(counts.values()) + self.model.pruned == self.model.created

    @invariant()
    def a_worker_holds_what_it_runs(self) -> None:
        for id in self.worker.values():
            held = {(each.id, each.token) for each in self.run_op(claim.held(id))}
            mine = [job for job in self.model.running() if job.worker == id]
            assert held == {(job.id, job.token) for job in mine}

    def teardown(self) -> None:
        for id, job in self.model.jobs.items():
            told = {each.token: each.outcome for each in self.run_op(read.attempts(id))}
            assert told == job.history
