"""Jobs that belong together: what is stored of them, and how the store tells of it.

A flow is stored as a plan: flows, jobs, and who comes after whom by their numbers in it. A number
from 0 on names a job of the plan, ``~number`` names a flow of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from jobpipe.model.job import Enqueued, NewJob
from jobpipe.model.state import Reason


class FlowKind(StrEnum):
    """How it was asked for."""

    BATCH = "batch"
    CHAIN = "chain"
    FLOW = "flow"


class FlowState(StrEnum):
    """Where a flow stands; the final ones are called as those of jobs."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Policy(StrEnum):
    """What becomes of a flow in which a node failed or was cancelled."""

    SKIP = "skip"
    """What comes after it is cancelled; the others go on."""
    CANCEL = "cancel"
    """All that is left is cancelled."""
    CONTINUE = "continue"
    """What comes after it runs all the same."""


class Ending(StrEnum):
    """Why what is left of a flow is cancelled."""

    BY_USER = "by_user"
    FAILURE = "failure"
    DEADLINE = "deadline"


class Need(StrEnum):
    """Which end of a node lets go what comes after it."""

    SUCCESS = "success"
    FAILURE = "failure"
    """Any end but success."""
    ANY = "any"

    def fits(self, settled: str) -> bool:
        """Tell whether a node that ended so lets go what has this need."""
        if self is Need.ANY:
            return True
        return (settled == FlowState.SUCCEEDED) is (self is Need.SUCCESS)


class Role(StrEnum):
    """What a job is to its flow; only nodes are counted."""

    NODE = "node"
    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"
    ON_DONE = "on_done"


NEEDS: Mapping[Role, Need] = {
    Role.ON_SUCCESS: Need.SUCCESS,
    Role.ON_FAILURE: Need.FAILURE,
    Role.ON_DONE: Need.ANY,
}
"""Which end of its flow each callback waits for."""


class NewFlow(Struct, frozen=True, kw_only=True):
    """One flow of a plan."""

    kind: FlowKind
    name: str | None
    policy: Policy
    deadline_us: int | None
    within: int | None
    """The number of the flow that it is a node of."""


class NewNode(Struct, frozen=True, kw_only=True):
    """One job of a plan, and the flow that it belongs to."""

    job: NewJob
    flow: int
    role: Role = Role.NODE


class NewEdge(Struct, frozen=True, order=True):
    """A job of a plan and what it comes after."""

    child: int
    parent: int
    need: Need


class NewPlace(Struct, frozen=True):
    """Where in a job's arguments another one's result goes: a JSON pointer."""

    child: int
    pointer: str
    parent: int


class Plan(Struct, frozen=True, kw_only=True):
    """All that is stored of one flow, with those inside of it."""

    flows: list[NewFlow]
    """The first is the flow itself."""
    nodes: list[NewNode]
    edges: list[NewEdge]
    places: list[NewPlace]


class Growth(Struct, frozen=True, kw_only=True):
    """What a running job adds to its own flow; parents below 0 are ids of nodes, negated."""

    job_id: int
    token: int
    jobs: list[NewJob]
    edges: list[NewEdge]
    places: list[NewPlace]


class PlanStored(Struct, frozen=True):
    """The ids of what was stored, in the order of the plan."""

    flows: list[int]
    jobs: list[Enqueued]


class FlowRecord(Struct, frozen=True, kw_only=True):
    """A flow as it stands in the store."""

    id: int
    kind: FlowKind
    name: str | None
    policy: Policy
    state: FlowState
    ending: Ending | None
    total: int
    succeeded: int
    failed: int
    cancelled: int
    created_at: int
    deadline_at: int | None
    finished_at: int | None
    parent_id: int | None
    """The flow that it is a node of."""


class MemberRecord(Struct, frozen=True, kw_only=True):
    """One node or callback of a flow."""

    id: int
    role: Role
    state: str | None
    """None: it has been pruned."""
    reason: Reason | None
    waits: int
    """How many nodes it still comes after."""
    task: str | None
    kind: FlowKind | None
    """Of a node that is a flow."""
    name: str | None
