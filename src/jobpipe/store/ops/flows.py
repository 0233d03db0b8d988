"""Settle what ended in flows, end flows, and let go or cancel what comes after.

All of it happens in rounds of admission, one at a time, so a node is counted once whatever races
outside. What a round leaves over stands in notes that the next one finds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from jobpipe.model import marks
from jobpipe.model.change import Change
from jobpipe.model.flow import Ending, FlowState, Need, Policy, Role
from jobpipe.model.state import FINAL, State
from jobpipe.store.ops.handing import OWED, hand_on
from jobpipe.store.ops.look import Looked, look_at
from jobpipe.store.port import Batch, Op, Row, Statement

SLICE = 1_000
"""Most nodes, and most edges, that one round takes of one flow."""
IN_FLOW = marks.FOLLOWED | marks.DEPENDENT
LATE_MAX = 100
"""Most flows that one round stops because their deadline has passed; it always says ``more``, since
none of them had ended."""


class Flowed(Struct, frozen=True):
    """What the stage came to."""

    free: list[Looked]
    """Blocked jobs that come after nothing more."""
    ended: list[Change]
    more: bool
    """There is more to do at once."""


class Node(Struct):
    """A job or a flow as a part of a flow."""

    id: int
    flow: int | None
    role: Role
    waits: int
    settled: str | None


class Standing(Struct, frozen=True):
    """A flow as the round found it."""

    id: int
    policy: Policy
    state: FlowState
    ending: Ending | None
    sweep: str | None
    position: int
    total: int
    succeeded: int
    failed: int
    cancelled: int
    due_at: int | None

    @property
    def is_swept(self) -> bool:
        return self.state is FlowState.RUNNING and self.sweep is not None

    @property
    def is_cancelled(self) -> bool:
        """Tell whether its nodes are being cancelled, those up to ``position`` already."""
        return self.is_swept and self.sweep == "cancel"

    @property
    def is_over(self) -> bool:
        counted = self.succeeded + self.failed + self.cancelled
        return self.state is FlowState.RUNNING and self.sweep != "rerun" and counted >= self.total

    @property
    def end(self) -> FlowState:
        """Return the state in which it ends as its nodes have."""
        if not self.failed and not self.cancelled:
            return FlowState.SUCCEEDED
        if self.ending in (Ending.BY_USER, Ending.DEADLINE) or not self.failed:
            return FlowState.CANCELLED
        return FlowState.FAILED


class _Work(Struct):
    """What one round has found out so far."""

    settled: dict[int, str]
    """How the nodes ended that have ended, of those looked at."""
    standing: dict[int, Standing]
    again: set[int]
    """Ids that the next round is to look at."""
    ended: list[Change]
    swept: int = 0
    """How many nodes were cancelled, or brought back."""


def flows(
    ids: Collection[int],
    looked: Sequence[Looked],
    max_payload: int | None = None,
    *,
    any_late: bool = False,
) -> Op[Flowed]:
    """Do what the end of these jobs, and the flows among the ids, bring about.

    Who would be handed more than ``max_payload`` bytes fails. None leaves all that is handed on to
    the next round. ``any_late``: the deadline of a flow may have passed.
    """
    states = {job.id: job.state for job in looked}
    others = set(ids) - states.keys()
    parts = others.union(job.id for job in looked if job.marks & IN_FLOW)
    nodes = {node.id: node for node in (yield from _read_nodes(parts))}
    standing = (yield from _read_flows(others)) if others or any_late else []
    work = _Work({}, {flow.id: flow for flow in standing}, set(), [])
    if not nodes and not standing:
        return Flowed([job for job in looked if job.state is State.BLOCKED], [], False)
    changes = {
        id: now
        for id, node in nodes.items()
        if (now := _now(id, node, states, work.standing)) != node.settled
    }
    work.settled = {id: node.settled for id, node in nodes.items() if node.settled is not None}
    yield from _settle(nodes, changes, work)
    yield from _stop_late(work)
    yield from _sweep_all(work)
    yield from _end_flows(work)
    waiting = [id for id, node in nodes.items() if node.waits and states.get(id) is State.BLOCKED]
    let_go = yield from _let_go(waiting, work)
    free = yield from _free(looked, nodes, let_go, max_payload, work)
    if work.again:
        yield Statement("note_looks", {"ids": sorted(work.again)})
    return Flowed(free, work.ended, bool(work.again or work.ended or work.swept))


def _now(
    id: int, node: Node, states: Mapping[int, State], standing: Mapping[int, Standing]
) -> str | None:
    """Return how a node stands settled by what is known of it now."""
    if id in states:
        return states[id].value if states[id] in FINAL else None
    if id in standing:
        state = standing[id].state
        return None if state is FlowState.RUNNING else state.value
    return node.settled


def _settle(nodes: Mapping[int, Node], changes: Mapping[int, str | None], work: _Work) -> Op[None]:
    """Write how nodes stand settled, and count that in their flows, once a flow."""
    if not changes:
        return
    yield Statement("settle_nodes", batch=Batch(("id", "settled"), sorted(changes.items())))
    deltas: dict[int, dict[str, int]] = {}
    for id, now in changes.items():
        node = nodes[id]
        if node.flow is not None and node.role is Role.NODE:
            delta = deltas.setdefault(node.flow, dict.fromkeys(COUNTED, 0))
            for settled, n in ((node.settled, -1), (now, 1)):
                if settled is not None:
                    delta[settled] += n
        work.settled.pop(id, None)
        if now is not None:
            work.settled[id] = now
    if deltas:
        yield from _count(deltas, work)


COUNTED = ("total", "succeeded", "failed", "cancelled")


def _count(deltas: dict[int, dict[str, int]], work: _Work) -> Op[None]:
    for row in (yield Statement("take_growth", {"ids": sorted(deltas)})):
        deltas[row["flow_id"]]["total"] += row["n"]
    rows = [(id, *(delta[name] for name in COUNTED)) for id, delta in sorted(deltas.items())]
    counted = yield Statement("count_flows", batch=Batch(("id", *COUNTED), rows))
    found = [_standing(row) for row in counted]  # a flow may be gone
    work.standing.update((flow.id, flow) for flow in found)
    harmed = {id for id, delta in deltas.items() if delta["failed"] + delta["cancelled"] > 0}
    strict = [flow.id for flow in found if flow.id in harmed and flow.policy is Policy.CANCEL]
    yield from _stop(strict, Ending.FAILURE, work)


def _stop_late(work: _Work) -> Op[None]:
    timed = [flow for flow in work.standing.values() if flow.due_at is not None]
    if timed:
        now = (yield Statement("ping"))[0]["now"]
        late = [flow.id for flow in timed if flow.due_at is not None and flow.due_at <= now]
        yield from _stop(late, Ending.DEADLINE, work)


def _stop(ids: Collection[int], ending: Ending, work: _Work) -> Op[None]:
    """Begin to cancel what is left of flows that run."""
    if ids:
        params = {"ids": sorted(ids), "ending": ending}
        for flow in map(_standing, (yield Statement("stop_flows", params))):
            work.standing[flow.id] = flow


def _sweep_all(work: _Work) -> Op[None]:
    """Go on with the flows that are being cancelled or run anew, and with those inside of them."""
    done: set[int] = set()
    while due := [f for f in work.standing.values() if f.is_swept and f.id not in done]:
        for flow in due:
            done.add(flow.id)
            if work.swept < SLICE:
                yield from _sweep(flow, work)
            else:
                work.again.add(flow.id)


def _sweep(flow: Standing, work: _Work) -> Op[None]:
    """Cancel, or run anew, the next slice of a flow's nodes."""
    params = {"id": flow.id, "after": flow.position, "limit": SLICE}
    nodes = {node.id: node for node in map(_node, (yield Statement("flow_slice", params)))}
    if flow.sweep == "cancel":
        yield from _cancel_nodes(nodes, work)
    else:
        # With the first nodes come all callbacks: the rest of this may give way to a cancel.
        first = {} if flow.position else (yield from _callbacks(flow))
        yield from _rerun_nodes(first | nodes, work)
    more = len(nodes) == SLICE
    if more:
        work.again.add(flow.id)
    done = {
        "id": flow.id,
        "sweep": flow.sweep if more or flow.sweep == "cancel" else None,
        "position": max(nodes, default=flow.position),
    }
    swept = _standing((yield Statement("note_sweep", done))[0])
    work.standing[flow.id] = swept


def _callbacks(flow: Standing) -> Op[dict[int, Node]]:
    rows = yield Statement("flow_callbacks", {"id": flow.id})
    return {node.id: node for node in map(_node, rows)}


def _cancel_nodes(nodes: Mapping[int, Node], work: _Work) -> Op[None]:
    left = [id for id, node in nodes.items() if node.settled is None and node.role is Role.NODE]
    if not left:
        return
    work.swept += len(left)
    cancelled = yield from _cancel(left, work)
    running = sorted(set(left) - cancelled)
    if running:
        yield Statement("request_cancels", {"ids": running})
        yield from _stop(running, Ending.BY_USER, work)


def _rerun_nodes(nodes: Mapping[int, Node], work: _Work) -> Op[None]:
    """Bring back what failed, and what was cancelled; callbacks only if they have not run."""
    again = sorted(
        id
        for id, node in nodes.items()
        if node.settled == FlowState.CANCELLED
        or (node.settled == FlowState.FAILED and node.role is Role.NODE)
    )
    if not again:
        return
    work.swept += len(again)
    yield Statement("raise_waits", {"ids": again})
    jobs = [row["id"] for row in (yield Statement("rerun_nodes", {"ids": again}))]
    inner = [_standing(row) for row in (yield Statement("reopen_flows", {"ids": again}))]
    work.standing.update((flow.id, flow) for flow in inner)
    yield from _settle(nodes, dict.fromkeys([*jobs, *(flow.id for flow in inner)]), work)


def _end_flows(work: _Work) -> Op[None]:
    """End flows all of whose nodes have ended; that may end the flow that they are in."""
    while over := [flow for flow in work.standing.values() if flow.is_over]:
        ends = {flow.id: flow.end.value for flow in over}
        yield Statement("end_flows", batch=Batch(("id", "state"), sorted(ends.items())))
        for flow in over:
            del work.standing[flow.id]
        nodes = {node.id: node for node in (yield from _read_nodes(ends))}
        yield from _settle(nodes, dict(ends), work)


def _let_go(waiting: Sequence[int], work: _Work) -> Op[set[int]]:
    """Judge what comes after nodes that ended; returns jobs that come after nothing more."""
    judged: dict[tuple[int, int], bool] = {}
    if work.settled:
        params = {"ids": sorted(work.settled), "limit": SLICE}
        below = yield Statement("open_edges_below", params)
        for row in below:
            settled = work.settled[row["parent_id"]]
            judged[row["child_id"], row["parent_id"]] = Need(row["need"]).fits(settled)
        if len(below) == SLICE:
            last = below[-1]["parent_id"]
            work.again.update(id for id in work.settled if id >= last)
    if waiting:
        above = yield Statement("open_edges_above", {"ids": sorted(waiting), "limit": SLICE})
        for row in above:
            fits = Need(row["need"]).fits(row["settled"])
            judged[row["child_id"], row["parent_id"]] = fits
        if len(above) == SLICE:
            last = above[-1]["child_id"]
            work.again.update(id for id in waiting if id >= last)
    return (yield from _meet(judged, work)) if judged else set()


def _meet(judged: Mapping[tuple[int, int], bool], work: _Work) -> Op[set[int]]:
    yield Statement("meet_edges", batch=Batch(("child_id", "parent_id"), sorted(judged)))
    met: dict[int, int] = {}
    for child, _parent in judged:
        met[child] = met.get(child, 0) + 1
    lowered = yield Statement("lower_waits", batch=Batch(("id", "n"), sorted(met.items())))
    lost = {child for (child, _parent), fits in judged.items() if not fits}
    if lost:
        yield from _cancel(sorted(lost), work)
    return {row["node_id"] for row in lowered if row["waits"] <= 0} - lost


def _cancel(ids: Sequence[int], work: _Work) -> Op[set[int]]:
    cancelled = yield Statement("cancel_by_flow", {"ids": list(ids)})
    work.ended += [Change(row["id"], State.CANCELLED, row["queue"]) for row in cancelled]
    return {row["id"] for row in cancelled}


def _free(
    looked: Sequence[Looked],
    nodes: Mapping[int, Node],
    let_go: set[int],
    max_payload: int | None,
    work: _Work,
) -> Op[list[Looked]]:
    """Return the blocked jobs that come after nothing more, with what they are handed."""
    freed = yield from look_at(let_go)
    others = [job for job in looked if job.id not in let_go]
    waits = {
        job.id: nodes[job.id].waits
        for job in others
        if job.marks & marks.DEPENDENT and job.id in nodes
    }
    unswept = yield from _unswept([nodes[id] for id, n in waits.items() if n == 0], work)
    free = {
        job.id: job
        for job in (*freed, *others)
        if job.state is State.BLOCKED and waits.get(job.id, 0) in (0, OWED)
        if job.id not in unswept
    }
    owed = {id for id in free if waits.get(id) == OWED}
    handed = yield from hand_on((free.keys() & let_go) | owed, max_payload)
    work.again |= handed.left
    work.ended += handed.failed
    back = handed.held_back
    # waits goes from 0 to OWED and back; whoever failed keeps it, so that a re-run hands on anew
    turned = [(id, -OWED) for id in back - owed] + [(id, OWED) for id in owed - back]
    if turned:
        yield Statement("lower_waits", batch=Batch(("id", "n"), sorted(turned)))
    return sorted((job for id, job in free.items() if id not in back), key=lambda job: job.id)


def _unswept(nodes: Sequence[Node], work: _Work) -> Op[set[int]]:
    """Return those that the cancel of their flow has yet to reach, such as what was added to it
    meanwhile: nobody is to take them before."""
    nodes = [node for node in nodes if node.flow is not None and node.role is Role.NODE]
    flows = dict(work.standing)
    unread = {node.flow for node in nodes if node.flow is not None} - flows.keys()
    if unread:
        flows |= {flow.id: flow for flow in (yield from _read_flows(unread))}
    ends = {flow.id: flow.position for flow in flows.values() if flow.is_cancelled}
    return {node.id for node in nodes if node.id > ends.get(node.flow or 0, node.id)}


def _read_nodes(ids: Collection[int]) -> Op[list[Node]]:
    if not ids:
        return []
    return [_node(row) for row in (yield Statement("read_nodes", {"ids": sorted(ids)}))]


def _read_flows(ids: Collection[int]) -> Op[list[Standing]]:
    params = {"ids": sorted(ids), "late": LATE_MAX}
    return [_standing(row) for row in (yield Statement("read_flows", params))]


def _node(row: Row) -> Node:
    return Node(row["node_id"], row["flow_id"], Role(row["role"]), row["waits"], row["settled"])


def _standing(row: Row) -> Standing:
    return Standing(
        row["id"],
        Policy(row["policy"]),
        FlowState(row["state"]),
        None if row["ending"] is None else Ending(row["ending"]),
        row["sweep"],
        row["position"],
        row["total"],
        row["succeeded"],
        row["failed"],
        row["cancelled"],
        row["due_at"],
    )
