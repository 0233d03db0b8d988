"""Random lives of jobs that want keys: who comes for one hears what the rules of scopes say.

The model knows only who took each key, and when; whether that job still holds it is judged by what
the store shows of the job, never by how the store keeps keys.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from jobpipe.errors import DuplicateKey, InvalidTransition
from jobpipe.model.job import Claimed, Enqueued, JobRecord, Lane, NewJob
from jobpipe.model.state import FINAL, INITIAL, Reason, State
from jobpipe.model.takes import Takes
from jobpipe.model.unique import Clash, Scope, Uniqueness
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, finish, read, steer, upkeep
from jobpipe.store.ops import worker as workers
from jobpipe.store.ops.claim import Held
from jobpipe.store.ops.enqueue import enqueue
from tests.conformance.lab import ending
from tests.property.machine import Ground
from tests.property.model import us

LANE = Lane("default", 0)
KEYS = ("k", "l")
SPAN, DELAY, EXPIRY = 3.5, 1.5, 2.5
ALL = 1_000
NO_KEEP = {State.SUCCEEDED: 0, State.FAILED: 0, State.CANCELLED: 0}

Space = tuple[bool, str]
"""Whether it is a waiting key, and its text."""


class Taken(NamedTuple):
    """Who took a key, and as what he stood there."""

    id: int
    token: int
    scope: Scope
    until: float


class Keys(RuleBasedStateMachine):
    """Jobs with and without keys, claimed, ended in every way, re-run and deleted."""

    ground: ClassVar[Ground]

    def __init__(self) -> None:
        super().__init__()
        self.ground.clear()
        self.now = 0.0
        self.taken: dict[Space, Taken] = {}
        self.wishes: dict[int, tuple[str, Scope]] = {}
        self.claims: list[Claimed] = []
        about = NewWorker(name="w", host="h", pid=1, pid_started="1", slots=1, queues=["*"])
        self.worker = self.run_op(workers.register(about, us(1000)))

    def run_op(self, operation: Any) -> Any:
        return self.ground.run(operation)

    def job(self, id: int) -> JobRecord | None:
        found: JobRecord | None = self.run_op(read.job(id))
        return found

    def holder(self, space: Space) -> JobRecord | None:
        """Return the job that holds a key, by the rules."""
        taken = self.taken.get(space)
        job = None if taken is None else self.job(taken.id)
        if taken is None or job is None:
            return None
        if taken.scope is Scope.WAITING:
            return job if job.state in INITIAL and job.token == taken.token else None
        if taken.scope is Scope.LIVE:
            return None if job.state in FINAL else job
        return job if self.now < taken.until else None

    def take(self, space: Space, id: int, scope: Scope) -> None:
        job = self.job(id)
        assert job is not None
        self.taken[space] = Taken(id, job.token, scope, self.now + SPAN)
        self.wishes[id] = (space[1], scope)

    @initialize()
    def begin(self) -> None:
        self.enqueue("k", Scope.WAITING, Clash.RETURN, False, False, 1, 0)

    @rule(
        key=st.sampled_from(KEYS),
        scope=st.sampled_from(Scope),
        answer=st.sampled_from(Clash),
        delayed=st.booleans(),
        expiring=st.booleans(),
        count=st.integers(1, 3),
        number=st.integers(0, 9),
    )
    def enqueue(
        self,
        key: str,
        scope: Scope,
        answer: Clash,
        delayed: bool,
        expiring: bool,
        count: int,
        number: int,
    ) -> None:
        for_us = us(SPAN) if scope is Scope.SECONDS else None
        jobs = [
            NewJob(
                task="t",
                args=f'{{"n":{number + turn}}}',
                delay_us=us(DELAY) if delayed else None,
                expires_in_us=us(EXPIRY) if expiring else None,
                unique_key=key,
                unique=Uniqueness(scope=scope, answer=answer, for_us=for_us),
            )
            for turn in range(count)
        ]
        space = (scope is Scope.WAITING, key)
        holder = self.holder(space)
        refused = answer is Clash.REFUSE and (count > 1 or holder is not None)
        if answer is Clash.REPLACE and holder is not None and holder.state not in INITIAL:
            refused = True
        if refused:
            before = self.run_op(read.counts())
            try:
                self.run_op(enqueue(jobs))
            except DuplicateKey:
                assert self.run_op(read.counts()) == before
                return
            raise AssertionError("it was not refused")
        answers: list[Enqueued] = self.run_op(enqueue(jobs))
        first = answers[0]
        assert {each.id for each in answers} == {first.id}
        assert [each.created for each in answers] == [holder is None] + [False] * (count - 1)
        if holder is None:
            self.take(space, first.id, scope)
        else:
            assert first.id == holder.id
        job = self.job(first.id)
        assert job is not None
        if answer is Clash.REPLACE:
            assert job.args == jobs[-1].args
            assert (job.state is State.SCHEDULED) is delayed
            assert (job.expires_at is not None) is expiring
        elif holder is not None:
            assert job == holder

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        self.claims += self.run_op(claim.claim(self.worker, [LANE], limit, after={}, done=[]))

    @precondition(lambda self: self.claims)
    @rule(
        data=st.data(), state=st.sampled_from(sorted({*FINAL, "retrying", "scheduled", "parked"}))
    )
    def finish(self, data: st.DataObject, state: str) -> None:
        job = self.claims.pop(data.draw(st.integers(0, len(self.claims) - 1)))
        end = ending(job, State(state), **({} if state in FINAL else {"delay_us": us(DELAY)}))
        self.run_op(finish.finish([end], time.monotonic_ns()))

    @precondition(lambda self: self.claims)
    @rule()
    def give_back(self) -> None:
        job = self.claims.pop()
        self.run_op(claim.give_back([Held(job.id, job.token, job.rank, job.claim_id)]))

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = self.job(data.draw(st.sampled_from(sorted(self.wishes))))
        if job is not None and job.state not in FINAL:
            self.run_op(steer.cancel(job.id, Reason.BY_USER))

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def rerun(self, data: st.DataObject) -> None:
        job = self.job(data.draw(st.sampled_from(sorted(self.wishes))))
        if job is None or job.state not in {*FINAL, State.PARKED}:
            return
        key, scope = self.wishes[job.id]
        space = (scope is Scope.WAITING, key)
        holder = self.holder(space)
        try:
            self.run_op(steer.rerun(job.id))
        except InvalidTransition:
            assert holder is not None
            assert holder.id != job.id
            assert self.job(job.id) == job
            return
        assert holder is None or holder.id == job.id
        self.take(space, job.id, scope)

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), later=st.booleans())
    def patch(self, data: st.DataObject, later: bool) -> None:
        job = self.job(data.draw(st.sampled_from(sorted(self.wishes))))
        if job is not None and job.state in (State.QUEUED, State.SCHEDULED):
            now = self.run_op(read.ping())
            self.run_op(steer.patch(job.id, steer.Patch(run_at=now + us(DELAY) if later else 1)))

    @rule(beats=st.integers(1, 3))
    def wait(self, beats: int) -> None:
        self.now += beats
        self.ground.clock.advance(us(beats))
        self.run_op(upkeep.promote(ALL))
        self.run_op(upkeep.expire(ALL))

    @rule()
    def unpark(self) -> None:
        parked = self.run_op(upkeep.find_parked([Takes("t", 1, 1)], [Reason.UNKNOWN_TASK], ALL))
        self.run_op(upkeep.unpark(parked))

    @rule()
    def prune(self) -> None:
        held = {job.id for space in self.taken if (job := self.holder(space)) is not None}
        before = {id for id in self.wishes if self.job(id) is not None}
        self.run_op(upkeep.prune(0, ALL, NO_KEEP))
        assert held <= {id for id in before if self.job(id) is not None}

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.run_op(steer.delete_job(data.draw(st.sampled_from(sorted(self.wishes)))))

    @rule(key=st.sampled_from(KEYS), scope=st.sampled_from((Scope.WAITING, Scope.LIVE)))
    def try_a_free_key(self, key: str, scope: Scope) -> None:
        """Nothing is left behind of those who hold no key any more."""
        if self.holder((scope is Scope.WAITING, key)) is None:
            self.have(key, scope)

    def have(self, key: str, scope: Scope) -> None:
        """Take a key, and delete the job that has it, so that all is as it was."""
        wish = Uniqueness(scope=scope, answer=Clash.REFUSE)
        job = NewJob(task="t", args="{}", unique_key=key, unique=wish, queue="tried")
        (answer,) = self.run_op(enqueue([job]))
        assert answer.created
        self.run_op(steer.cancel(answer.id, Reason.BY_USER))
        self.run_op(steer.delete_job(answer.id))

    def teardown(self) -> None:
        for key in KEYS:
            for is_waiting, scope in ((True, Scope.WAITING), (False, Scope.LIVE)):
                if self.holder((is_waiting, key)) is None:
                    self.have(key, scope)
