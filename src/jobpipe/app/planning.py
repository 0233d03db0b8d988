"""Turns a flow that was put together into the plan that is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from jobpipe.app.actor import current
from jobpipe.errors import InvalidArguments
from jobpipe.model import marks
from jobpipe.model.flow import (
    NEEDS,
    Growth,
    Need,
    NewEdge,
    NewFlow,
    NewNode,
    NewPlace,
    Plan,
    Role,
)
from jobpipe.model.job import NewJob
from jobpipe.tasks.flow import Flow, Node
from jobpipe.tasks.task import Call, Defaults

MAX_NODES = 100_000
"""Most jobs of one enqueue of a flow, those of flows inside of it included, without callbacks."""


def plan_of(flow: Flow, defaults: Defaults) -> Plan:
    """Return what is stored of a flow; raises InvalidArguments, PayloadTooLarge."""
    planner = _Planner(defaults)
    planner.put(flow, None, {})
    jobs = sum(node.role is Role.NODE for node in planner.plan.nodes)
    if jobs > MAX_NODES:
        raise InvalidArguments(
            f"{flow!r} has {jobs} jobs; at most {MAX_NODES} are allowed",
            help="Split it, or let its jobs add others while they run.",
        )
    return planner.plan


def new_job(call: Call[Any], defaults: Defaults, mark: int) -> NewJob:
    """Return what is stored of a call in a flow; raises InvalidArguments, PayloadTooLarge."""
    if call.options.on is not None:
        raise InvalidArguments(
            f"task {call.spec.name}: a call of a flow names no connection in on=",
            help="All of a flow is stored together: pass on= to its enqueue().",
        )
    call.check_given()
    job = replace(call, handed=()).new_job(defaults)
    if job.idempotency_key is not None or job.unique_key is not None:
        raise InvalidArguments(
            f"task {job.task}: a job of a flow has no key of its own",
            help="Leave out idempotency_key, and pass unique=False: another's job may hold it.",
        )
    return replace(job, marks=(job.marks or 0) | mark, by=current())


def growth_of(job_id: int, token: int, nodes: Sequence[Node[Any]], defaults: Defaults) -> Growth:
    """Return what a running job adds to its flow; raises InvalidArguments, PayloadTooLarge."""
    if len(nodes) > MAX_NODES:
        raise InvalidArguments(
            f"{len(nodes)} jobs are added at once; at most {MAX_NODES} are allowed",
            help="Add them in several steps.",
        )
    growth = Growth(job_id=job_id, token=token, jobs=[], edges=[], places=[])
    for child, node in enumerate(nodes):
        if isinstance(node.what, Flow):
            raise InvalidArguments(
                f"{node.what!r} cannot be added to a flow that runs", help="Add its calls."
            )
        mark = marks.FOLLOWED | (marks.DEPENDENT if node.needs else 0)
        growth.jobs.append(new_job(node.what, defaults, mark))
        growth.edges.extend(NewEdge(child, -parent.id, need) for parent, need in node.needs.items())
        growth.places.extend(
            NewPlace(child, pointer, -parent.id) for pointer, parent in node.places
        )
    return growth


class _Planner:
    """Gathers flows, jobs and edges, each under its number."""

    def __init__(self, defaults: Defaults) -> None:
        self.plan = Plan(flows=[], nodes=[], edges=[], places=[])
        self._defaults = defaults

    def put(self, flow: Flow, within: int | None, behind: Mapping[int, Need]) -> int:
        """Take a flow up; its first nodes come after what it comes after. Returns its number."""
        number = len(self.plan.flows)
        self.plan.flows.append(
            NewFlow(
                kind=flow.kind,
                name=flow.name,
                policy=flow.policy,
                deadline_us=flow.deadline_us,
                within=within,
            )
        )
        places: dict[int, int] = {}
        for node in flow.nodes:
            after = {places[id(parent)]: need for parent, need in node.needs.items()} or behind
            if isinstance(node.what, Flow):
                places[id(node)] = ~self.put(node.what, number, after)
            else:
                places[id(node)] = self._put_job(node.what, number, Role.NODE, after)
                self._hand_on(places[id(node)], node, places)
        for role, call in flow.callbacks.items():
            self._put_job(call, number, role, {~number: NEEDS[role]})
        return number

    def _put_job(self, call: Call[Any], flow: int, role: Role, after: Mapping[int, Need]) -> int:
        mark = marks.FOLLOWED if role is Role.NODE else 0
        if after:
            mark |= marks.DEPENDENT
        child = len(self.plan.nodes)
        job = new_job(call, self._defaults, mark)
        self.plan.nodes.append(NewNode(job=job, flow=flow, role=role))
        self.plan.edges.extend(NewEdge(child, parent, need) for parent, need in after.items())
        return child

    def _hand_on(self, child: int, node: Node[Any], places: Mapping[int, int]) -> None:
        self.plan.places.extend(
            NewPlace(child, pointer, places[id(parent)]) for pointer, parent in node.places
        )
