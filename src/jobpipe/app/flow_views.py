"""Flows as everybody is shown them: HTTP, the command line and Python."""

from __future__ import annotations

from msgspec import Struct

from jobpipe.app.views import time_text
from jobpipe.model.flow import Ending, FlowKind, FlowRecord, FlowState, MemberRecord, Policy, Role
from jobpipe.model.state import Reason


class FlowView(Struct, frozen=True, kw_only=True):
    """A batch, a chain or a flow, and how far it is."""

    id: int
    kind: FlowKind
    name: str | None
    state: FlowState
    ending: Ending | None
    """Why what was left of it is cancelled."""
    policy: Policy
    total: int
    """How many nodes it has."""
    succeeded: int
    failed: int
    cancelled: int
    left: int
    """How many nodes have not ended."""
    created_at: str | None
    deadline_at: str | None
    finished_at: str | None
    parent: int | None
    """The flow that it is a node of."""


class MemberView(Struct, frozen=True, kw_only=True):
    """A node or a callback of a flow."""

    id: int
    role: Role
    kind: str
    """job, or what kind of flow it is."""
    state: str | None
    """None: it has been pruned."""
    reason: Reason | None
    task: str | None
    name: str | None
    waits: int
    """How many nodes it still comes after."""


def flow_view(record: FlowRecord) -> FlowView:
    """Return what is shown of a flow."""
    return FlowView(
        id=record.id,
        kind=record.kind,
        name=record.name,
        state=record.state,
        ending=record.ending,
        policy=record.policy,
        total=record.total,
        succeeded=record.succeeded,
        failed=record.failed,
        cancelled=record.cancelled,
        left=record.total - record.succeeded - record.failed - record.cancelled,
        created_at=time_text(record.created_at),
        deadline_at=time_text(record.deadline_at),
        finished_at=time_text(record.finished_at),
        parent=record.parent_id,
    )


def member_view(record: MemberRecord) -> MemberView:
    """Return what is shown of a member of a flow."""
    return MemberView(
        id=record.id,
        role=record.role,
        kind="job" if record.kind is None else record.kind.value,
        state=record.state,
        reason=record.reason,
        task=record.task,
        name=record.name,
        waits=record.waits,
    )
