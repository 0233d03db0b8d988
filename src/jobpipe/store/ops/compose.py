"""Store flows, add to them while they run, steer and read them.

Who stores only appends rows; the rounds of admission do the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from jobpipe.errors import FlowNotFound, InvalidTransition, LeaseLost
from jobpipe.model import marks
from jobpipe.model.flow import (
    Ending,
    FlowKind,
    FlowRecord,
    FlowState,
    Growth,
    MemberRecord,
    Need,
    NewEdge,
    NewPlace,
    Plan,
    PlanStored,
    Policy,
    Role,
)
from jobpipe.model.job import Enqueued, NewJob
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import flows as settle
from jobpipe.store.ops.enqueue import CHUNK
from jobpipe.store.ops.rounds import await_round
from jobpipe.store.port import Batch, Mode, Op, Operation, Row, Statement, operation

Enqueuing = Callable[[Sequence[NewJob]], Operation[list[Enqueued]]]
"""What stores jobs, with the bounds and lanes that the application knows."""

MEMBER_COLUMNS = ("node_id", "flow_id", "role", "waits")
NO_ID = 2**62


@operation(Mode.TRANSACTION)
def compose(plan: Plan, enqueuing: Enqueuing) -> Op[PlanStored]:
    """Store a flow with all its jobs, or nothing of it.

    Raises QueueFull when a queue would then hold more waiting jobs than its bound.
    """
    rows = yield Statement("draw_ids", {"n": len(plan.flows)})
    flows = sorted(row["id"] for row in rows)
    stored = yield from _enqueue([node.job for node in plan.nodes], enqueuing)
    totals = [0] * len(flows)
    for node in plan.nodes:
        totals[node.flow] += node.role is Role.NODE
    for flow in plan.flows:
        if flow.within is not None:
            totals[flow.within] += 1
    new = [
        (id, flow.kind, flow.name, flow.policy, total, flow.deadline_us)
        for id, flow, total in zip(flows, plan.flows, totals, strict=True)
    ]
    columns = ("id", "kind", "name", "policy", "total", "deadline_us")
    yield from _append("add_flows", columns, new)

    def id_of(number: int) -> int:
        return stored[number].id if number >= 0 else flows[~number]

    waits = _waits(plan.edges, len(stored))
    members: list[tuple[int, int | None, Role, int]] = [
        (id, None if flow.within is None else flows[flow.within], Role.NODE, 0)
        for id, flow in zip(flows, plan.flows, strict=True)
    ]
    members += [
        (job.id, flows[node.flow], node.role, n)
        for job, node, n in zip(stored, plan.nodes, waits, strict=True)
    ]
    yield from _append("add_members", MEMBER_COLUMNS, members)
    yield from _connect(plan.edges, plan.places, id_of)
    yield Statement("note_looks", {"ids": flows})
    return PlanStored(flows, stored)


@operation(Mode.TRANSACTION)
def grow(growth: Growth, enqueuing: Enqueuing) -> Op[PlanStored]:
    """Add jobs to the flow of a running job, which cannot end before them.

    Where it is being cancelled they are stored as ones that wait, so that nobody takes them before
    the rounds come to cancel them.

    Raises LeaseLost when the attempt is no longer current, InvalidTransition when its job is no
    node of a flow.
    """
    held = yield Statement("lock_job", {"id": growth.job_id})
    if not held or held[0]["state"] != State.RUNNING or held[0]["token"] != growth.token:
        raise LeaseLost(
            f"job {growth.job_id}: this attempt is no longer current; nothing was added"
        )
    found = yield Statement("read_nodes", {"ids": [growth.job_id]})
    if not found or found[0]["flow_id"] is None or found[0]["role"] != Role.NODE:
        raise InvalidTransition(
            f"job {growth.job_id} is no node of a flow or a batch",
            help="Only a running node adds to its flow; elsewhere enqueue a flow of its own.",
        )
    flow: int = found[0]["flow_id"]
    (standing,) = yield Statement("flow", {"id": flow})
    edges = yield from _edges_in(standing, growth.edges)
    jobs = growth.jobs if standing["ending"] is None else [_held_up(job) for job in growth.jobs]
    stored = yield from _enqueue(jobs, enqueuing)
    waits = _waits(edges, len(stored))
    members = [(job.id, flow, Role.NODE, n) for job, n in zip(stored, waits, strict=True)]
    yield from _append("add_members", MEMBER_COLUMNS, members)
    yield from _connect(
        edges, growth.places, lambda number: stored[number].id if number >= 0 else -number
    )
    yield Statement("add_growth", {"flow_id": flow, "n": len(stored)})
    yield Statement("note_looks", {"ids": [flow]})
    return PlanStored([flow], stored)


def _held_up(job: NewJob) -> NewJob:
    return replace(job, marks=(job.marks or 0) | marks.DEPENDENT)


def _edges_in(standing: Row, edges: Sequence[NewEdge]) -> Op[list[NewEdge]]:
    """Check that the edges stay in the flow; what they need is as its policy says."""
    earlier = sorted({-edge.parent for edge in edges})
    if not earlier:
        return []
    found = yield Statement("read_nodes", {"ids": earlier})
    flow = standing["id"]
    inside = {row["node_id"] for row in found if row["flow_id"] == flow}
    for id in earlier:
        if id not in inside:
            raise InvalidTransition(
                f"{id} is no node of flow {flow}, so nothing of it can come after that"
            )
    if standing["policy"] != Policy.CONTINUE:
        return list(edges)
    return [NewEdge(edge.child, edge.parent, Need.ANY) for edge in edges]


def _enqueue(jobs: Sequence[NewJob], enqueuing: Enqueuing) -> Op[list[Enqueued]]:
    return (yield from enqueuing(jobs).start()) if jobs else []


def _waits(edges: Sequence[NewEdge], count: int) -> list[int]:
    waits = [0] * count
    for edge in edges:
        waits[edge.child] += 1
    return waits


def _connect(
    edges: Sequence[NewEdge], places: Sequence[NewPlace], id_of: Callable[[int], int]
) -> Op[None]:
    links = [(id_of(edge.child), id_of(edge.parent), edge.need) for edge in edges]
    yield from _append("add_edges", ("child_id", "parent_id", "need"), links)
    handed = [(id_of(place.child), place.pointer, id_of(place.parent)) for place in places]
    yield from _append("add_places", ("child_id", "pointer", "parent_id"), handed)


def _append(name: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Op[None]:
    for start in range(0, len(rows), CHUNK):
        yield Statement(name, batch=Batch(columns, rows[start : start + CHUNK]))


@operation(Mode.TRANSACTION)
def cancel_flow(id: int) -> Op[None]:
    """Cancel what is left of a flow: the first nodes at once, the others in the next rounds.

    Raises FlowNotFound; InvalidTransition when it has ended. Twice is fine.
    """
    yield from await_round()
    stopped = yield Statement("stop_flows", {"ids": [id], "ending": Ending.BY_USER})
    if stopped:
        flowed = yield from settle.flows([id], [])
        yield Statement("note_looks", {"ids": [id, *(job.id for job in flowed.free)]})
        return
    flow = yield from _found(id)
    if flow.state is not FlowState.RUNNING:
        raise InvalidTransition(
            f"flow {id} has ended ({flow.state}); only one that runs can be cancelled"
        )


@operation(Mode.TRANSACTION)
def rerun_flow(id: int) -> Op[None]:
    """Run anew what failed in a flow, and what was cancelled; the next rounds do it.

    Raises FlowNotFound; InvalidTransition when nothing failed, when nodes of it are gone, or when
    it is just being cancelled.
    """
    for row in (yield Statement("lost_nodes", {"id": id})):
        if row["n"] > 0:
            raise InvalidTransition(
                f"flow {id} has lost {row['n']} of its nodes: they were deleted, or pruned",
                help="Re-run single jobs of it that come after nothing that is lost.",
            )
    if (yield Statement("reopen_flows", {"ids": [id]})):
        yield Statement("note_looks", {"ids": [id]})
        return
    flow = yield from _found(id)
    why = "is being cancelled" if flow.ending else "holds nothing that failed or was cancelled"
    raise InvalidTransition(f"flow {id} {why}", help="Wait for its end, then look again.")


@operation(Mode.READ)
def flow(id: int) -> Op[FlowRecord | None]:
    """Return the flow, or None."""
    found = yield Statement("flow", {"id": id})
    return _record(found[0]) if found else None


@operation(Mode.READ)
def newest_flows(
    limit: int, before: int | None = None, state: FlowState | None = None
) -> Op[list[FlowRecord]]:
    """List flows, newest first."""
    params = {"limit": limit, "before": before or NO_ID, "state": state}
    return [_record(row) for row in (yield Statement("newest_flows", params))]


@operation(Mode.READ)
def flow_members(id: int, limit: int, after: int = 0) -> Op[list[MemberRecord]]:
    """List the nodes and callbacks of a flow beyond the id ``after``, by id."""
    params = {"id": id, "limit": limit, "after": after}
    return [_member(row) for row in (yield Statement("flow_members", params))]


def _found(id: int) -> Op[FlowRecord]:
    record = yield from flow(id).start()
    if record is None:
        raise FlowNotFound(f"there is no flow {id}")
    return record


def _record(row: Row) -> FlowRecord:
    return FlowRecord(
        id=row["id"],
        kind=FlowKind(row["kind"]),
        name=row["name"],
        policy=Policy(row["policy"]),
        state=FlowState(row["state"]),
        ending=None if row["ending"] is None else Ending(row["ending"]),
        total=row["members"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        cancelled=row["cancelled"],
        created_at=row["created_at"],
        deadline_at=row["deadline_at"],
        finished_at=row["finished_at"],
        parent_id=row["parent_id"],
    )


def _member(row: Row) -> MemberRecord:
    return MemberRecord(
        id=row["node_id"],
        role=Role(row["role"]),
        state=row["state"],
        reason=None if row["reason"] is None else Reason(row["reason"]),
        waits=row["waits"],
        task=row["task"],
        kind=None if row["kind"] is None else FlowKind(row["kind"]),
        name=row["name"],
    )
