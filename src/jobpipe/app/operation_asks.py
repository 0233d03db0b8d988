"""Every ask about operations: what a store runs, what a service is sent."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from jobpipe.app import requests
from jobpipe.app.actor import PYTHON, current
from jobpipe.app.ask import Ask, Asked, Request, one
from jobpipe.app.asks import API, SERVICE_PAGE
from jobpipe.app.operation_views import OperationView, operation_record
from jobpipe.app.views import PageView, time_text
from jobpipe.delivery.hub import Hint
from jobpipe.errors import InvalidArguments, OperationNotFound
from jobpipe.model.filter import Filter
from jobpipe.model.operation import (
    OperationAction,
    OperationParams,
    OperationRecord,
    OperationState,
)
from jobpipe.policy import query
from jobpipe.store.ops import operate
from jobpipe.tasks.codec import show
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import is_whole

PREVIEW_SECONDS = 2.0
"""Longest count of a preview."""

PAGE_OPERATIONS = 50
PLACE = f"{API}/operations"


def cancel(q: str, reason: str, preview: bool) -> Asked[OperationRecord]:
    """Order that jobs are cancelled."""
    given = OperationParams(reason=requests.cancel_reason(reason))
    return _order(OperationAction.CANCEL, q, given, preview)


def rerun(q: str, preview: bool) -> Asked[OperationRecord]:
    """Order that ended jobs run once more."""
    return _order(OperationAction.RERUN, q, OperationParams(), preview)


def delete(q: str, preview: bool) -> Asked[OperationRecord]:
    """Order that ended jobs are deleted."""
    return _order(OperationAction.DELETE, q, OperationParams(), preview)


def move(
    q: str,
    queue_name: str | None,
    priority: int | None,
    run_at: datetime | None,
    preview: bool,
) -> Asked[OperationRecord]:
    """Order that waiting jobs go to another queue, priority or time."""
    wanted = requests.patch(priority, queue_name, run_at)
    given = OperationParams(queue=wanted.queue, priority=wanted.priority, run_at=wanted.run_at)
    return _order(OperationAction.MOVE, q, given, preview)


def find(id: int) -> Asked[OperationRecord]:
    """Read an operation; raises OperationNotFound."""
    id = _id(id)

    def value(found: OperationRecord | None) -> OperationRecord:
        if found is None:
            raise OperationNotFound(f"there is no operation {id}")
        return found

    request = Request(path=f"{PLACE}/{id}", answer=OperationView)
    return Ask(operation=operate.find(id), value=value, exchange=one(request, operation_record))


def newest(before: int | None, limit: int, state: str | None) -> Asked[list[OperationRecord]]:
    """Read a page of operations, newest first."""
    stored = [each for each in OperationState if each is not OperationState.PREVIEW]
    if before is not None and not is_whole(before, 1, requests.MAX_ID):
        raise refusal("before", before, "the id of an operation")
    if not is_whole(limit, 1, SERVICE_PAGE):
        raise refusal("limit", limit, f"a whole number from 1 to {SERVICE_PAGE}")
    if state is not None and state not in stored:
        raise refusal("state", state, ", ".join(stored))
    asked = {"cursor": before, "limit": limit, "state": state}
    return Ask(
        operation=operate.newest(before, limit, state),
        exchange=one(
            Request(path=PLACE, query=asked, answer=PageView[OperationView]),
            lambda page: [operation_record(view) for view in page.items],
        ),
    )


def stop(id: int | None) -> Asked[OperationRecord]:
    """Cancel an operation; what it has done stays done."""
    id = _id(id)
    request = Request(method="POST", path=f"{PLACE}/{id}/cancel", answer=OperationView)
    return Ask(operation=operate.cancel(id), exchange=one(request, operation_record))


def _order(
    action: OperationAction, q: str, given: OperationParams, preview: bool
) -> Asked[OperationRecord]:
    wanted = Filter(terms=query.parse(q))
    if not wanted.terms:
        raise InvalidArguments(
            "the filter is empty, and so would mean every job",
            help="Say which jobs: state:failed task:mail.* and so on; `id:>=1` means all.",
        )
    said = {"reason": given.reason, "queue": given.queue, "priority": given.priority}
    said["run_at"] = time_text(given.run_at)
    body: dict[str, Any] = {"action": action, "q": q, "preview": preview}
    body["params"] = {name: value for name, value in said.items() if value is not None}
    request = Request(method="POST", path=PLACE, body=body, answer=OperationView)
    exchange, by = one(request, operation_record), current() or PYTHON
    if preview:
        deadline = time.monotonic() + PREVIEW_SECONDS
        unseen = operate.unseen(action, q, given, by)
        counting = operate.preview(unseen, wanted, lambda: time.monotonic() < deadline)
        return Ask(operation=counting, exchange=exchange)
    return Ask(
        operation=operate.begin(action, q, given, by),
        hint=lambda _begun: Hint(control=True),
        exchange=exchange,
    )


def _id(id: object) -> int:
    if not isinstance(id, int) or isinstance(id, bool):
        raise InvalidArguments(f"the id of an operation is a whole number, not {show(id)}")
    if not 0 < id <= requests.MAX_ID:
        raise OperationNotFound(f"there is no operation {show(id)}")
    return id
