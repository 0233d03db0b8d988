"""Stores flows over HTTP: a flow as data, its nodes by name."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jobpipe.app.ask import Exchange, Request
from jobpipe.app.asks import API
from jobpipe.client.enqueue import job_body
from jobpipe.model.flow import Need, PlanStored, Policy
from jobpipe.model.job import Enqueued
from jobpipe.model.state import State
from jobpipe.tasks.flow import Flow, Node


class StoredFlow(Struct, frozen=True):
    """The ids of a flow and of its parts, in the order of the plan."""

    flows: list[int]
    jobs: list[int]


def composed(flow: Flow) -> Exchange[PlanStored]:
    """Have the service store a flow. It is sent once: an answer that is lost is told as such."""
    body = flow_body(flow)
    stored: StoredFlow = yield Request(
        method="POST", path=f"{API}/flows", body=body, answer=StoredFlow
    )
    return PlanStored(stored.flows, [Enqueued(id, State.BLOCKED, True, 0) for id in stored.jobs])


def flow_body(flow: Flow) -> dict[str, Any]:
    """Return what a service is sent of a flow."""
    names = {node: f"n{number}" for number, node in enumerate(flow.nodes)}
    said = {
        "kind": flow.kind.value,
        "name": flow.name,
        "policy": flow.policy.value,
        "deadline_seconds": None if flow.deadline_us is None else flow.deadline_us / 1e6,
        "nodes": [_node_body(flow, node, names) for node in flow.nodes],
        **{role.value: job_body(call, None) for role, call in flow.callbacks.items()},
    }
    return {name: value for name, value in said.items() if value is not None}


def _node_body(flow: Flow, node: Node[Any], names: dict[Node[Any], str]) -> dict[str, Any]:
    usual = Need.ANY if flow.policy is Policy.CONTINUE else Need.SUCCESS
    part = node.what
    what = {"flow": flow_body(part)} if isinstance(part, Flow) else {"job": job_body(part, None)}
    return {
        "name": names[node],
        **what,
        "after": [names[each] for each, need in node.needs.items() if need is usual],
        "after_any": [names[each] for each, need in node.needs.items() if need is not usual],
        "results": {pointer: names[each] for pointer, each in node.places},
    }
