"""Operations: one order about all jobs that a filter means, carried out slice by slice."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from jobpipe.model.state import FINAL, WAITING, Reason, State


class OperationAction(StrEnum):
    """What is done to each job."""

    CANCEL = "cancel"
    RERUN = "rerun"
    DELETE = "delete"
    MOVE = "move"


class OperationState(StrEnum):
    """How far an operation is."""

    PREVIEW = "preview"
    """Nothing is done: it only tells what would be. Never stored."""
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


TAKES = {
    OperationAction.CANCEL: frozenset(State) - FINAL,
    OperationAction.RERUN: FINAL | {State.PARKED},
    OperationAction.DELETE: FINAL,
    OperationAction.MOVE: WAITING | {State.PARKED},
}
"""The states in which a job takes an order; in others it refuses."""


class OperationParams(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an action has to know beside the filter."""

    reason: Reason | None = None
    """Of a cancel."""
    queue: str | None = None
    """Where a move leads; what is None stays."""
    priority: int | None = None
    run_at: int | None = None


class OperationRecord(Struct, frozen=True, kw_only=True):
    """An operation as it stands in the store; times in microseconds since 1970."""

    id: int | None
    """None of a preview."""
    action: OperationAction
    q: str
    params: OperationParams
    who: str
    via: str
    request_id: str | None = None
    created_at: int
    finished_at: int | None = None
    state: OperationState
    matched: int
    """Jobs that the filter means, as far as it looked."""
    changed: int
    """Those that took the order."""
    refused: int
    """Those whose state forbade it."""
    position: int
    """Jobs up to this id are done."""
    last_id: int
    """Jobs beyond it were stored later, and are not touched."""
    error: str | None = None
    first_ids: tuple[int, ...] = ()
    """Of a preview: the lowest ids."""
    more: bool = False
    """Of a preview: there are more than were counted."""
