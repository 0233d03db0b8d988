"""Random lives of jobs with gates: limits are kept, orders too, and nobody waits for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from jobpipe.model.gate import GateKind, Wish
from jobpipe.model.job import Claimed, Lane, NewJob
from jobpipe.model.marks import GATED, STARTS
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, finish, steer, upkeep
from jobpipe.store.ops import worker as workers
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.claim import Held
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.turn_over import turn_over
from jobpipe.store.port import Operation
from tests.conformance.clock import SECOND, MovedClock
from tests.conformance.drivers import Place
from tests.conformance.lab import ending

T = TypeVar("T")

LANES = [Lane("a", 0), Lane("a", 5)]
LEASE_US = 15 * SECOND
SLOTS = {"one": 1, "two": 2}
RATE, BURST = 6, 2
"""Six starts a minute, two at once."""
ROUNDS_MAX = 50
PICKS = st.integers(0, 1_000)
"""Drawn whatever there is to pick from: time goes on by itself, so that may differ."""
ENDS = [State.SUCCEEDED, State.FAILED, State.RETRYING, State.SCHEDULED]

slots = {key: Wish(GateKind.CONCURRENCY, key, f'{{"n":{n}}}') for key, n in SLOTS.items()}
group = {key: Wish(GateKind.GROUP, key, '{"on_failure":"skip"}') for key in ("g", "h")}
rate = Wish(GateKind.RATE, "r", f'{{"n":{RATE},"per_us":{60 * SECOND},"burst":{BURST}}}')
WISHES = [
    (slots["one"],),
    (slots["two"],),
    (slots["one"], slots["two"]),
    (group["g"],),
    (group["g"], slots["one"]),
    (group["h"], slots["two"], rate),
    (rate,),
    (slots["two"], rate),
]


class GateGround:
    """What stays between the examples: an open store and its clock."""

    def __init__(
        self,
        run: Callable[[Operation[Any]], Any],
        place: Place,
        clock: MovedClock,
        clear: Callable[[], None],
    ) -> None:
        self.run = run
        self.place = place
        self.clock = clock
        self.clear = clear


class GateLives(RuleBasedStateMachine):
    """A worker that claims, ends, gives back and dies; people who cancel and re-run."""

    ground: ClassVar[GateGround]

    def __init__(self) -> None:
        super().__init__()
        self.ground.clear()
        self.wishes: dict[int, tuple[Wish, ...]] = {}
        self.rerun: set[int] = set()
        self.claims: list[Claimed] = []
        self.starts: list[int] = []
        """When jobs with the rate started; what was given back unstarted is not new."""
        self.restarting: set[int] = set()
        self.worker = self.register()

    def run_op(self, operation: Operation[T]) -> T:
        answer: T = self.ground.run(operation)
        return answer

    def register(self) -> int:
        about = NewWorker(name="w", host="h", pid=1, pid_started="1", slots=1, queues=["*"])
        return self.run_op(workers.register(about, LEASE_US))

    def states(self) -> dict[int, State]:
        rows = self.ground.place.sql("SELECT id, state FROM {p}job ORDER BY id")
        return {row["id"]: State(row["state"]) for row in rows}

    @initialize(wishes=st.sampled_from(WISHES))
    def begin_with_jobs(self, wishes: tuple[Wish, ...]) -> None:
        self.add(wishes, LANES[0], 3)

    @rule(wishes=st.sampled_from(WISHES), lane=st.sampled_from(LANES), n=st.integers(1, 3))
    def add(self, wishes: tuple[Wish, ...], lane: Lane, n: int) -> None:
        job = NewJob(
            task="t",
            args="{}",
            queue=lane.queue,
            priority=lane.priority,
            marks=GATED | (STARTS if rate in wishes else 0),
            wishes=wishes,
        )
        for answer in self.run_op(enqueue([job] * n)):
            self.wishes[answer.id] = wishes

    @rule()
    def admit(self) -> None:
        """Afterwards nobody waits for a gate that is open."""
        for _ in range(ROUNDS_MAX):
            round_ = self.run_op(admit())
            assert round_ is not None
            is_due = round_.next_in_us is not None and round_.next_in_us <= 0
            if not (round_.more or is_due):
                break
        else:
            raise AssertionError("the rounds do not come to an end")
        states = self.states()
        self.limits_are_kept(states)
        for id, state in states.items():
            if state is State.BLOCKED:
                assert self.has_a_reason(id, states), f"job {id} waits for nothing"

    @rule(lane=st.sampled_from(LANES), n=st.integers(1, 4))
    def admit_and_claim(self, lane: Lane, n: int) -> None:
        """One round that claims, if it lets anybody in."""
        before = self.states()
        claiming = claim.claim(self.worker, [lane], n, after={}, done=[])
        round_ = self.run_op(admit(claim=claiming))
        assert round_ is not None
        self.took(round_.claimed or [], before)

    def has_a_reason(self, id: int, states: dict[int, State]) -> bool:
        wishes = self.wishes[id]
        if rate in wishes:
            return True
        for wish in wishes:
            others = [each for each in self.sharers(wish) if each != id]
            if wish.kind is GateKind.GROUP and any(states[each] not in FINAL for each in others):
                return True
            if wish.kind is GateKind.CONCURRENCY and self.held(wish, states) == SLOTS[wish.key]:
                return True
        return False

    def sharers(self, wish: Wish) -> list[int]:
        return [id for id, wishes in self.wishes.items() if wish in wishes]

    def held(self, wish: Wish, states: dict[int, State]) -> int:
        holding = (State.QUEUED, State.RUNNING)
        return sum(states[id] in holding for id in self.sharers(wish))

    def limits_are_kept(self, states: dict[int, State]) -> None:
        for wish in slots.values():
            assert self.held(wish, states) <= SLOTS[wish.key]
        for wish in group.values():
            assert self.held(wish, states) <= 1

    @rule(lane=st.sampled_from(LANES), n=st.integers(1, 4))
    def claim(self, lane: Lane, n: int) -> None:
        before = self.states()
        self.took(self.run_op(claim.claim(self.worker, [lane], n, after={}, done=[])), before)

    def took(self, jobs: list[Claimed], before: dict[int, State]) -> None:
        self.claims += jobs
        for job in jobs:
            self.was_his_turn(job.id, before)
            if rate in self.wishes[job.id] and job.id not in self.restarting:
                self.starts.append(self.ground.clock())
            self.restarting.discard(job.id)
        self.limits_are_kept(self.states())
        self.rate_is_kept()

    def was_his_turn(self, id: int, states: dict[int, State]) -> None:
        """Who was never re-run goes before all that came later to his group."""
        for wish in self.wishes[id]:
            if wish.kind is GateKind.GROUP and id not in self.rerun:
                earlier = [
                    each for each in self.sharers(wish) if each < id and each not in self.rerun
                ]
                assert all(states[each] in FINAL for each in earlier), f"job {id} was too soon"

    def rate_is_kept(self) -> None:
        """No span of time has more starts than tokens come in it, plus the burst."""
        for index, start in enumerate(self.starts):
            for number, at in enumerate(self.starts[index:], 1):
                assert number <= BURST + (at - start) * RATE / (60 * SECOND) + 1e-3

    @rule(pick=PICKS, state=st.sampled_from(ENDS))
    def finish(self, pick: int, state: State) -> None:
        if not self.claims:
            return
        job = self.claims.pop(pick % len(self.claims))
        self.run_op(finish.finish([ending(job, state, delay_us=SECOND)], time.monotonic_ns()))

    @rule(
        pick=PICKS,
        state=st.sampled_from(ENDS),
        lane=st.sampled_from(LANES),
        n=st.integers(0, 4),
    )
    def turn_over(self, pick: int, state: State, lane: Lane, n: int) -> None:
        """End one, let others in, and claim ``n`` of them (0: there is nothing to claim for)."""
        if not self.claims:
            self.admit()
            self.claim(lane, 1)
        if not self.claims:
            return
        job = self.claims.pop(pick % len(self.claims))
        before = self.states() | {job.id: state}
        claiming = claim.claim(self.worker, [lane], n, after={}, done=[]) if n else None
        outcomes = [ending(job, state, delay_us=SECOND)]
        over = self.run_op(turn_over(outcomes, time.monotonic_ns(), 0, 1_000, claiming))
        assert [end.id for end in over.finished] == [job.id]
        self.took(over.claimed or [], before)

    @rule(pick=PICKS, started=st.booleans())
    def give_back(self, pick: int, started: bool) -> None:
        if not self.claims:
            return
        job = self.claims.pop(pick % len(self.claims))
        if not started:
            self.restarting.add(job.id)
        held = Held(job.id, job.token, job.rank, job.claim_id)
        self.run_op(claim.give_back([held], started=started))

    @rule()
    def die(self) -> None:
        """The worker's lease ends; another takes its place."""
        self.ground.clock.advance(LEASE_US + SECOND)
        self.claims = []
        self.worker = self.register()
        self.run_op(workers.sweep([], by=self.worker))

    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        waiting = [
            id
            for id, state in self.states().items()
            if state not in FINAL and state is not State.RUNNING
        ]
        if waiting:
            self.run_op(steer.cancel(waiting[pick % len(waiting)], Reason.BY_USER))

    @rule(pick=PICKS)
    def run_again(self, pick: int) -> None:
        ended = [id for id, state in self.states().items() if state in FINAL]
        if ended:
            id = ended[pick % len(ended)]
            self.rerun.add(id)
            self.run_op(steer.rerun(id))

    @rule(seconds=st.sampled_from([1, 5, 11]))
    def wait(self, seconds: int) -> None:
        self.ground.clock.advance(seconds * SECOND)
        self.run_op(workers.renew(self.worker, LEASE_US, {}))
        self.run_op(upkeep.promote(1_000))

    def teardown(self) -> None:
        """A worker that runs whatever it gets comes to the end of every job: nothing leaked."""
        for _ in range(len(self.wishes) + 10):
            self.ground.clock.advance(61 * SECOND)
            self.run_op(workers.renew(self.worker, LEASE_US, {}))
            self.run_op(upkeep.promote(1_000))
            for job in self.claims:
                end = ending(job, State.SUCCEEDED)
                self.run_op(finish.finish([end], time.monotonic_ns()))
            self.claims = []
            self.admit()
            self.claims = self.run_op(claim.claim(self.worker, LANES, 100, after={}, done=[]))
            if all(state in FINAL for state in self.states().values()):
                return
        raise AssertionError(f"these wait for ever: {self.states()}")
