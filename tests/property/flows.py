"""Random lives of flows on a real store: each callback runs once, and nobody is lost.

What the machine remembers is what it did itself: which jobs it took, and how it ended them.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jobpipe.errors import InvalidTransition
from jobpipe.model import marks
from jobpipe.model.filter import Filter
from jobpipe.model.flow import (
    NEEDS,
    FlowKind,
    FlowRecord,
    FlowState,
    Growth,
    Need,
    NewEdge,
    NewFlow,
    NewNode,
    Plan,
    Policy,
    Role,
)
from jobpipe.model.job import Claimed, Finish, Lane, NewJob
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, compose, finish, read, steer, upkeep
from jobpipe.store.ops import worker as workers
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.claim import Held
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.finish import Finished
from jobpipe.store.ops.turn_over import turn_over
from jobpipe.store.port import Operation
from tests.property.machine import Ground

T = TypeVar("T")

LANE = [Lane("default", 0)]
DELAY_US = 1_000_000
ENDS: dict[State, tuple[Reason | None, str]] = {
    State.SUCCEEDED: (None, "succeeded"),
    State.FAILED: (Reason.FATAL, "failed"),
    State.CANCELLED: (Reason.BY_USER, "cancelled"),
    State.RETRYING: (None, "failed"),
}
MOST_TURNS = 200
"""More rounds than any of these flows can need to come to its end."""

PICKS = st.integers(0, 1_000)
"""Drawn whatever there is to pick from: that may differ when a life is lived once more."""
shapes = st.lists(st.tuples(st.lists(st.integers(0, 5)), st.booleans()), min_size=0, max_size=6)
"""Of each job, which of those before it comes before it, and whether any end of these will do."""


class FlowLives(RuleBasedStateMachine):
    """One flow, in which another may stand, and hands that do all they may at any time."""

    ground: ClassVar[Ground]

    def __init__(self) -> None:
        super().__init__()
        self.ground.clear()
        about = NewWorker(name="w", host="h", pid=1, pid_started="1", slots=9, queues=["*"])
        self.worker = self.run_op(workers.register(about, 10**12))
        self.claims: list[Claimed] = []
        self.succeeded: Counter[int] = Counter()
        """How often each job ended well."""
        self.ended: set[int] = set()
        """Jobs that ended once."""
        self.by_hand: set[int] = set()
        """Jobs that were run anew, which do not wait for anybody."""
        self.flow_ends: dict[int, set[FlowState]] = {}
        """How each flow has been seen to end."""

    def run_op(self, operation: Operation[T]) -> T:
        answer: T = self.ground.run(operation)
        return answer

    @initialize(shape=shapes, inside=shapes, policy=st.sampled_from(Policy))
    def begin(
        self,
        shape: list[tuple[list[int], bool]],
        inside: list[tuple[list[int], bool]],
        policy: Policy,
    ) -> None:
        self.plan = Plan(flows=[], nodes=[], edges=[], places=[])
        self._add(shape, policy, None)
        if inside:
            self._add(inside, Policy.SKIP, 0)
        stored = self.run_op(compose.compose(self.plan, enqueue))
        self.flows, self.jobs = stored.flows, [job.id for job in stored.jobs]
        self.callbacks = {
            self.jobs[number]: (node.role, self.flows[node.flow])
            for number, node in enumerate(self.plan.nodes)
            if node.role is not Role.NODE
        }
        self.parents: dict[int, list[tuple[int, Need]]] = {id: [] for id in self.jobs}
        for edge in self.plan.edges:
            if edge.parent >= 0:
                self.parents[self.jobs[edge.child]].append((self.jobs[edge.parent], edge.need))

    def _add(self, shape: list[tuple[list[int], bool]], policy: Policy, within: int | None) -> None:
        flow, first = len(self.plan.flows), len(self.plan.nodes)
        self.plan.flows.append(
            NewFlow(kind=FlowKind.FLOW, name=None, policy=policy, deadline_us=None, within=within)
        )
        for number, (wanted, any_end) in enumerate(shape):
            after = sorted({parent for parent in wanted if parent < number})
            need = Need.ANY if any_end or policy is Policy.CONTINUE else Need.SUCCESS
            self._node(flow, Role.NODE, {first + parent: need for parent in after})
        for role, need in NEEDS.items():
            self._node(flow, role, {~flow: need})

    def _node(self, flow: int, role: Role, after: dict[int, Need]) -> None:
        mark = (marks.FOLLOWED if role is Role.NODE else 0) | (marks.DEPENDENT if after else 0)
        child = len(self.plan.nodes)
        self.plan.nodes.append(
            NewNode(job=NewJob(task="t", args="{}", marks=mark), flow=flow, role=role)
        )
        self.plan.edges.extend(NewEdge(child, parent, need) for parent, need in after.items())

    # What workers do

    @rule()
    def round(self) -> None:
        """One step of admission; most steps that count need one."""
        done = self.run_op(admit())
        assert done is not None
        self._note_ended()
        self._note_flows()

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        taken = self.run_op(claim.claim(self.worker, LANE, limit, after={}, done=()))
        for job in taken:
            self._check_may_run(job.id)
        self.claims += taken

    def _check_may_run(self, id: int) -> None:
        if id in self.callbacks:
            role, flow = self.callbacks[id]
            seen = self.flow_ends.get(flow, set())
            assert any(NEEDS[role].fits(state) for state in seen), (role, seen)
        elif id not in self.by_hand:
            for parent, need in self.parents.get(id, ()):
                met = self.succeeded[parent] if need is Need.SUCCESS else parent in self.ended
                assert met, f"{id} runs before {parent} has ended as it needs ({need})"

    @rule(pick=PICKS, state=st.sampled_from(list(ENDS)))
    def finish(self, pick: int, state: State) -> None:
        """End an attempt; a callback always succeeds, so that it can be counted."""
        if not self.claims:
            return
        held = self.claims[pick % len(self.claims)]
        self._finish(held, state)

    def _finish(self, held: Claimed, state: State) -> None:
        end = self._end(held, state)
        self._note_finished(held, self.run_op(finish.finish([end], time.monotonic_ns())))

    def _end(self, held: Claimed, state: State) -> Finish:
        state = State.SUCCEEDED if held.id in self.callbacks else state
        reason, outcome = ENDS[state]
        return Finish(
            id=held.id,
            token=held.token,
            state=state,
            reason=reason,
            outcome=outcome,
            delay_us=DELAY_US,
            ended_at_ns=time.monotonic_ns(),
        )

    def _note_finished(self, held: Claimed, taken: list[Finished]) -> None:
        self.claims.remove(held)
        for each in taken:
            self.succeeded[each.id] += each.state is State.SUCCEEDED
            if each.state in FINAL:
                self.ended.add(each.id)

    @rule(pick=PICKS, state=st.sampled_from(list(ENDS)), limit=st.integers(0, 4))
    def turn_over(self, pick: int, state: State, limit: int) -> None:
        """End an attempt, do a round, and claim so many (0: there is nothing to claim for)."""
        if not self.claims:
            return
        held = self.claims[pick % len(self.claims)]
        claiming = claim.claim(self.worker, LANE, limit, after={}, done=()) if limit else None
        outcomes = [self._end(held, state)]
        over = self.run_op(turn_over(outcomes, time.monotonic_ns(), 0, 1_000, claiming))
        self._note_finished(held, over.finished)
        self._note_ended()
        self._note_flows()
        for job in over.claimed or ():
            self._check_may_run(job.id)
        self.claims += over.claimed or ()

    @rule(pick=PICKS)
    def give_back(self, pick: int) -> None:
        if not self.claims:
            return
        held = self.claims.pop(pick % len(self.claims))
        self.run_op(claim.give_back([Held(held.id, held.token, held.rank)]))
        self._note_ended()

    @rule(pick=PICKS)
    def grow(self, pick: int) -> None:
        """A running node adds a job to its flow, maybe one that comes after an earlier one."""
        nodes = [held for held in self.claims if held.id not in self.callbacks]
        if not nodes:
            return
        held = nodes[pick % len(nodes)]
        job = NewJob(task="t", args="{}", marks=marks.FOLLOWED)
        growth = Growth(job_id=held.id, token=held.token, jobs=[job], edges=[], places=[])
        (added,) = self.run_op(compose.grow(growth, enqueue)).jobs
        self.parents[added.id] = []

    @rule(states=st.lists(st.sampled_from(list(ENDS)), min_size=1, max_size=4))
    def work(self, states: list[State]) -> None:
        """A worker and an admitter do their usual turn, so that flows get somewhere."""
        self.claim(len(states))
        for held, state in zip(list(self.claims), states, strict=False):
            self._finish(held, state)
        self.round()

    # What people do

    @rule(pick=PICKS, again=st.booleans())
    def steer_job(self, pick: int, again: bool) -> None:
        nodes = sorted(self.parents.keys() - self.callbacks.keys())
        if not nodes:
            return
        id = nodes[pick % len(nodes)]
        try:
            if again:
                self.run_op(steer.rerun(id))
                self.by_hand.add(id)
            else:
                self.run_op(steer.cancel(id, Reason.BY_USER))
        except InvalidTransition:
            return
        self._note_ended()

    @rule(pick=PICKS, again=st.booleans())
    def steer_flow(self, pick: int, again: bool) -> None:
        id = self.flows[pick % len(self.flows)]
        order = compose.rerun_flow(id) if again else compose.cancel_flow(id)
        try:
            self.run_op(order)
        except InvalidTransition:
            return
        self._note_ended()
        self._note_flows()

    @rule()
    def time_passes(self) -> None:
        self.ground.clock.advance(2 * DELAY_US)
        self.run_op(upkeep.promote(1_000))
        self._note_ended()

    # What must hold

    def flow(self, id: int) -> FlowRecord:
        found = self.run_op(compose.flow(id))
        assert found is not None
        return found

    def states(self) -> dict[int, State]:
        found = self.run_op(read.jobs(Filter(), 1_000, lambda: True)).jobs
        return {job.id: job.state for job in found}

    def _note_ended(self) -> None:
        self.ended |= {id for id, state in self.states().items() if state in FINAL}

    def _note_flows(self) -> None:
        for id in self.flows:
            state = self.flow(id).state
            if state is not FlowState.RUNNING:
                self.flow_ends.setdefault(id, set()).add(state)

    @invariant()
    def no_callback_ran_twice(self) -> None:
        assert [id for id in getattr(self, "callbacks", ()) if self.succeeded[id] > 1] == []

    def teardown(self) -> None:
        """Let everything come to its end; then each callback has run as its flow ended."""
        if not hasattr(self, "flows"):
            return
        for _ in range(MOST_TURNS):
            self.time_passes()
            self.round()
            self.claim(50)
            for held in list(self.claims):
                self._finish(held, State.SUCCEEDED)
            if self._is_quiet():
                break
        for _ in range(3):  # what ended last is yet to be counted
            self.round()
        assert {id: state for id, state in self.states().items() if state not in FINAL} == {}
        for number, id in enumerate(self.flows):
            self._check_end(number, id)

    def _is_quiet(self) -> bool:
        is_over = all(self.flow(id).state is not FlowState.RUNNING for id in self.flows)
        return is_over and FINAL.issuperset(self.states().values())

    def _check_end(self, number: int, id: int) -> None:
        flow = self.flow(id)
        assert flow.state is not FlowState.RUNNING
        members = self.run_op(compose.flow_members(id, 1_000))
        states = Counter(each.state for each in members if each.role is Role.NODE)
        assert (flow.succeeded, flow.failed, flow.cancelled, flow.total) == (
            states[State.SUCCEEDED],
            states[State.FAILED],
            states[State.CANCELLED],
            states.total(),
        )
        ran: dict[Role, int] = {
            role: self.succeeded[job] for job, (role, of) in self.callbacks.items() if of == id
        }
        assert ran[Role.ON_DONE] == 1, (number, ran)
        expected: Role = Role.ON_SUCCESS if flow.state is FlowState.SUCCEEDED else Role.ON_FAILURE
        assert ran[expected] == 1, (number, flow.state, ran)
