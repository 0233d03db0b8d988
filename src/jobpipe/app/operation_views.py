"""What people and programs are shown of operations."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jobpipe.app.records import time_us
from jobpipe.app.views import time_text
from jobpipe.model.operation import (
    OperationAction,
    OperationParams,
    OperationRecord,
    OperationState,
)


class ParamsView(Struct, frozen=True, kw_only=True):
    """What an action has to know beside the filter."""

    reason: str | None = None
    queue: str | None = None
    priority: int | None = None
    run_at: str | None = None


class OperationView(Struct, frozen=True, kw_only=True):
    """One order about all jobs that a filter means."""

    id: int | None
    """None of a preview."""
    action: OperationAction
    q: str
    params: ParamsView
    who: str
    via: str
    state: OperationState
    matched: int
    """Jobs that the filter means, as far as it looked."""
    changed: int
    """Those that took the order; of a running job, which was asked to stop."""
    refused: int
    """Those whose state, key or flow forbade it."""
    position: int
    """Jobs up to this id are done; 0 of a preview, which does none."""
    last_id: int
    """Jobs beyond it are not touched; 0 of a preview."""
    created_at: str | None
    finished_at: str | None
    error: str | None
    first_ids: list[int]
    """Of a preview: the lowest ids."""
    more: bool
    """Of a preview: there are more than were counted."""


def operation_view(record: OperationRecord) -> OperationView:
    """Show an operation."""
    given = record.params
    return OperationView(
        id=record.id,
        action=record.action,
        q=record.q,
        params=ParamsView(
            reason=given.reason,
            queue=given.queue,
            priority=given.priority,
            run_at=time_text(given.run_at),
        ),
        who=record.who,
        via=record.via,
        state=record.state,
        matched=record.matched,
        changed=record.changed,
        refused=record.refused,
        position=record.position,
        last_id=record.last_id,
        created_at=time_text(record.created_at),
        finished_at=time_text(record.finished_at),
        error=record.error,
        first_ids=list(record.first_ids),
        more=record.more,
    )


def operation_record(view: OperationView) -> OperationRecord:
    """Return the record of an operation that a service shows."""
    said: dict[str, Any] = {name: getattr(view, name) for name in view.__struct_fields__}
    given = {name: getattr(view.params, name) for name in view.params.__struct_fields__}
    params = OperationParams(**{**given, "run_at": time_us(view.params.run_at)})
    return OperationRecord(
        **{
            **said,
            "params": params,
            "created_at": time_us(view.created_at) or 0,
            "finished_at": time_us(view.finished_at),
            "first_ids": tuple(view.first_ids),
        }
    )
