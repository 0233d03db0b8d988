"""Every ask about flows: what a store runs, what a service is sent."""

from __future__ import annotations

from typing import Any

from jobpipe.app import requests
from jobpipe.app.actor import PYTHON, current
from jobpipe.app.ask import Ask, Asked, Method, Request, one
from jobpipe.app.asks import API, SERVICE_PAGE
from jobpipe.app.flow_views import FlowView, MemberView
from jobpipe.app.records import time_us
from jobpipe.app.views import PageView
from jobpipe.delivery.hub import Hint
from jobpipe.errors import FlowNotFound
from jobpipe.model.audit import Action, AuditNote
from jobpipe.model.flow import FlowKind, FlowRecord, FlowState, MemberRecord
from jobpipe.model.state import Reason
from jobpipe.store.ops import audit, compose
from jobpipe.store.port import Mode, Op, Operation
from jobpipe.tasks.codec import show
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import is_whole


def flow(id: int) -> Asked[FlowRecord]:
    """Read a flow; raises FlowNotFound."""
    id = _flow_id(id)
    return Ask(
        operation=compose.flow(id),
        value=lambda record: _found(id, record),
        exchange=one(_flow(id), _record),
    )


def flows(limit: int, before: int | None, state: str | None) -> Asked[list[FlowRecord]]:
    """Read a page of flows, newest first; raises InvalidArguments."""
    if not is_whole(limit, 1, SERVICE_PAGE):
        raise refusal("limit", limit, f"a whole number from 1 to {SERVICE_PAGE}")
    if before is not None and not is_whole(before, 1, requests.MAX_ID):
        raise refusal("before", before, "the id of a flow")
    if state is not None and state not in tuple(FlowState):
        raise refusal("state", state, ", ".join(FlowState))
    query = {"limit": limit, "cursor": before, "state": state}
    wanted = None if state is None else FlowState(state)
    return Ask(
        operation=compose.newest_flows(limit, before, wanted),
        exchange=one(
            Request(path=f"{API}/flows", query=query, answer=PageView[FlowView]),
            lambda page: [_record(view) for view in page.items],
        ),
    )


def members(id: int, limit: int, after: int) -> Asked[list[MemberRecord]]:
    """Read a page of the nodes and callbacks of a flow, by id; raises FlowNotFound."""
    id = _flow_id(id)
    if not is_whole(limit, 1, SERVICE_PAGE):
        raise refusal("limit", limit, f"a whole number from 1 to {SERVICE_PAGE}")
    if not is_whole(after, 0, requests.MAX_ID):
        raise refusal("after", after, "the id of a node")
    query = {"limit": limit, "cursor": after or None}
    return Ask(
        operation=compose.flow_members(id, limit, after),
        exchange=one(
            _flow(id, part="/members", query=query, answer=PageView[MemberView]),
            lambda page: [_member(view) for view in page.items],
        ),
    )


def cancel(id: int) -> Asked[FlowRecord]:
    """Have what is left of a flow cancelled; comes to the flow as it stands then."""
    return _steering(id, Action.CANCEL_FLOW, compose.cancel_flow(_flow_id(id)), "/cancel")


def rerun(id: int) -> Asked[FlowRecord]:
    """Run anew what failed in a flow, or was cancelled; comes to the flow as it stands then."""
    return _steering(id, Action.RERUN_FLOW, compose.rerun_flow(_flow_id(id)), "/rerun")


def _steering(id: int, action: Action, order: Operation[None], part: str) -> Asked[FlowRecord]:
    by = current() or PYTHON

    def start() -> Op[FlowRecord | None]:
        before = yield from compose.flow(id).start()
        yield from order.start()
        after = yield from compose.flow(id).start()
        was, now = (None if each is None else _facts(each) for each in (before, after))
        if was != now:
            told = AuditNote(by=by, action=action, before=was, after=now)
            yield from audit.note([told])
        return after

    return Ask(
        operation=Operation(order.name, Mode.TRANSACTION, start),
        value=lambda record: _found(id, record),
        hint=lambda _record: Hint(control=True, gates=True),
        exchange=one(_flow(id, "POST", part), _record),
    )


def _facts(record: FlowRecord) -> str:
    return audit.facts(
        flow=record.id,
        name=record.name,
        state=record.state,
        ending=record.ending,
        failed=record.failed,
        cancelled=record.cancelled,
    )


def _flow(id: int, method: Method = "GET", part: str = "", **rest: Any) -> Request:
    return Request(method=method, path=f"{API}/flows/{id}{part}", **{"answer": FlowView, **rest})


def _flow_id(id: object) -> int:
    if not is_whole(id, 1, requests.MAX_ID):
        raise FlowNotFound(f"there is no flow {show(id)}")
    assert isinstance(id, int)
    return id


def _found(id: int, record: FlowRecord | None) -> FlowRecord:
    if record is None:
        raise FlowNotFound(f"there is no flow {id}")
    return record


def _record(view: FlowView) -> FlowRecord:
    return FlowRecord(
        id=view.id,
        kind=view.kind,
        name=view.name,
        policy=view.policy,
        state=view.state,
        ending=view.ending,
        total=view.total,
        succeeded=view.succeeded,
        failed=view.failed,
        cancelled=view.cancelled,
        created_at=time_us(view.created_at) or 0,
        deadline_at=time_us(view.deadline_at),
        finished_at=time_us(view.finished_at),
        parent_id=view.parent,
    )


def _member(view: MemberView) -> MemberRecord:
    return MemberRecord(
        id=view.id,
        role=view.role,
        state=view.state,
        reason=None if view.reason is None else Reason(view.reason),
        waits=view.waits,
        task=view.task,
        kind=None if view.kind == "job" else FlowKind(view.kind),
        name=view.name,
    )
