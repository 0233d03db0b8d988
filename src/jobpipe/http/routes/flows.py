"""Batches and flows: store one as data, look at them, cancel and re-run them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from msgspec import Meta, Struct

from jobpipe import errors
from jobpipe.app.flow_views import FlowView, MemberView
from jobpipe.app.views import PageView
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.paging import PageSize, page_cursor
from jobpipe.http.problems import Problem
from jobpipe.http.routes.jobs import BULK_BYTES, BULK_JOBS, SLICE, NewJobBody, Span, options_of
from jobpipe.model.flow import FlowKind, FlowState, Policy
from jobpipe.model.flow import Role as Part
from jobpipe.model.role import Role
from jobpipe.tasks.flow import Flow, Node

DEEPEST = 8
"""How deep flows stand in flows."""

REFUSALS = (errors.FlowNotFound, errors.InvalidTransition)


class NodeBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """One node of a flow: a job, or a flow inside of it."""

    name: str | None = None
    """By which later nodes call it."""
    job: NewJobBody | None = None
    flow: NewFlowBody | None = None
    after: list[str] = []
    """Names of nodes that must have succeeded before."""
    after_any: list[str] = []
    """Names of nodes that must have ended before, in whatever way."""
    results: dict[str, str] = {}
    """Whose results it is handed: JSON pointers into the arguments, each with a node's name."""


class NewFlowBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A batch, a chain or a flow: its nodes come after those that stand before them."""

    nodes: Annotated[list[NodeBody], Meta(max_length=BULK_JOBS)]
    kind: FlowKind = FlowKind.FLOW
    name: str | None = None
    policy: Policy = Policy.SKIP
    deadline_seconds: Span | None = None
    on_success: NewJobBody | None = None
    on_failure: NewJobBody | None = None
    on_done: NewJobBody | None = None


class StoredFlow(Struct, frozen=True):
    """The ids of a stored flow, with those inside of it, and of their jobs, in order.

    The first flow is the whole; callbacks follow the nodes of their flow.
    """

    id: int
    flows: list[int]
    jobs: list[int]


class FlowsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which flows a list shows, newest first."""

    state: FlowState | None = None
    limit: PageSize = 50
    cursor: str | None = None
    """``next_cursor`` of the page before."""


class MembersQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which nodes and callbacks of a flow, by id."""

    limit: PageSize = 50
    cursor: str | None = None


async def store_flow(call: Call) -> Answer:
    flow = await _put_together(call, call.body, 1)
    stored = await call.app.astore_flow(flow, None)
    answer = StoredFlow(stored.flows[0], stored.flows, [job.id for job in stored.jobs])
    location = f"{call.root}/api/v1/flows/{answer.id}"
    return Answer(value=answer, status=201, headers={"Location": location})


async def _put_together(call: Call, body: NewFlowBody, depth: int) -> Flow:
    if depth > DEEPEST:
        raise Problem(422, "invalid_body", f"flows stand in flows at most {DEEPEST} deep")
    callbacks = {
        part: None if wanted is None else _called(call, wanted, {})
        for part, wanted in (
            (Part.ON_SUCCESS, body.on_success),
            (Part.ON_FAILURE, body.on_failure),
            (Part.ON_DONE, body.on_done),
        )
    }
    flow = Flow(
        call.app,
        body.kind,
        body.name,
        policy=body.policy,
        deadline=body.deadline_seconds,
        callbacks=callbacks,
    )
    nodes: dict[str, Node[Any]] = {}
    for number, each in enumerate(body.nodes):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        if (each.job is None) is (each.flow is None):
            raise Problem(422, "invalid_body", f"node {number} needs a job or a flow, one of them")
        results = {pointer: _named(nodes, name) for pointer, name in each.results.items()}
        what: Any = (
            await _put_together(call, each.flow, depth + 1)
            if each.flow is not None
            else _called(call, each.job, results)
        )
        node: Node[Any] = flow.add(
            what,
            after=[*_link_before(flow), *(_named(nodes, name) for name in each.after)],
            after_any=[_named(nodes, name) for name in each.after_any],
        )
        if each.name is not None and nodes.setdefault(each.name, node) is not node:
            raise Problem(422, "invalid_body", f"two nodes are named {each.name!r}")
    return flow


def _link_before(flow: Flow) -> list[Node[Any]]:
    """Return what the next link of a chain comes after, whatever else it names."""
    return flow.nodes[-1:] if flow.kind is FlowKind.CHAIN else []


def _called(call: Call, wanted: NewJobBody | None, results: dict[str, Node[Any]]) -> Any:
    assert wanted is not None  # a node is a job or a flow
    options = options_of(wanted, wanted.idempotency_key)
    return call.app.call_handing(wanted.task, wanted.args, results, **options)


def _named(nodes: dict[str, Node[Any]], name: str) -> Node[Any]:
    if name not in nodes:
        raise Problem(422, "invalid_body", f"no node that stands before is named {name!r}")
    return nodes[name]


async def list_flows(call: Call) -> Answer:
    query: FlowsQuery = call.query
    before = page_cursor(query.cursor)
    items = await call.app.aflows(state=query.state, limit=query.limit, before=before)
    more = str(items[-1].id) if len(items) == query.limit else None
    return Answer(value=PageView(items=items, next_cursor=more))


async def show_flow(call: Call) -> Answer:
    return Answer(value=await call.app.aflow_view(call.path["id"]))


async def list_flow_members(call: Call) -> Answer:
    id, query = call.path["id"], call.query
    await call.app.aflow_view(id)
    after = page_cursor(query.cursor) or 0
    items = await call.app.aflow_members(id, limit=query.limit, after=after)
    more = str(items[-1].id) if len(items) == query.limit else None
    return Answer(value=PageView(items=items, next_cursor=more))


async def cancel_flow(call: Call) -> Answer:
    await call.app.acancel_flow(call.path["id"])
    return Answer(value=await call.app.aflow_view(call.path["id"]))


async def rerun_flow(call: Call) -> Answer:
    await call.app.arerun_flow(call.path["id"])
    return Answer(value=await call.app.aflow_view(call.path["id"]))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/v1/flows",
        role=Role.PRODUCER,
        handle=store_flow,
        summary="Store a batch or a flow with all its jobs, or nothing of it",
        body=NewFlowBody,
        body_max=BULK_BYTES,
        answer=StoredFlow,
        status=201,
        errors=(
            errors.UnknownTask,
            errors.InvalidArguments,
            errors.PayloadTooLarge,
            errors.QueueFull,
        ),
        is_new_work=True,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/flows",
        role=Role.VIEWER,
        handle=list_flows,
        summary="List flows, newest first",
        query=FlowsQuery,
        answer=PageView[FlowView],
        errors=(errors.InvalidArguments,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/flows/{id:int}",
        role=Role.VIEWER,
        handle=show_flow,
        summary="Show a flow, and how far it is",
        answer=FlowView,
        errors=(errors.FlowNotFound,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/flows/{id:int}/members",
        role=Role.VIEWER,
        handle=list_flow_members,
        summary="List the nodes and callbacks of a flow",
        query=MembersQuery,
        answer=PageView[MemberView],
        errors=(errors.FlowNotFound,),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/flows/{id:int}/cancel",
        role=Role.OPERATOR,
        handle=cancel_flow,
        summary="Cancel all that is left of a flow",
        answer=FlowView,
        errors=REFUSALS,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/flows/{id:int}/rerun",
        role=Role.OPERATOR,
        handle=rerun_flow,
        summary="Run anew what failed in a flow, or was cancelled",
        answer=FlowView,
        errors=REFUSALS,
        is_new_work=True,
    ),
)
