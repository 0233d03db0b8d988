"""Operations: what is done to all jobs that a filter means, in slices by id.

One slice is one transaction together with the note how far the operation is, so that whoever goes
on after a crash does no job twice. Each job is steered as a single one would be.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobpipe.errors import InvalidTransition, OperationNotFound
from jobpipe.model.audit import Action, Actor, AuditNote
from jobpipe.model.change import Change
from jobpipe.model.filter import Filter
from jobpipe.model.operation import (
    TAKES,
    OperationAction,
    OperationParams,
    OperationRecord,
    OperationState,
)
from jobpipe.model.state import SHELVED, Reason, State
from jobpipe.policy import query
from jobpipe.store.ops import audit, read, steer, upkeep
from jobpipe.store.ops.claim import Queued
from jobpipe.store.ops.forget import forget, kept_by_flows
from jobpipe.store.ops.rounds import await_round_of
from jobpipe.store.ops.steer import Patch
from jobpipe.store.port import Mode, Op, Row, Rows, Statement, operation

SLICE = 1_000
"""Most jobs of one transaction."""
LOOKS = 10
"""How many slices are looked at in one transaction while no job in them is meant."""
PREVIEW_MAX = 10_000
"""A preview stops counting here: shown as "10,000+"."""
PREVIEW_IDS = 10
NO_ID = 2**62

AUDITED = {
    OperationAction.CANCEL: Action.CANCEL_JOBS,
    OperationAction.RERUN: Action.RERUN_JOBS,
    OperationAction.DELETE: Action.DELETE_JOBS,
    OperationAction.MOVE: Action.MOVE_JOBS,
}


class Slice(Struct, frozen=True):
    """Ids to be looked at, and up to which id they are all."""

    ids: list[int]
    end: int


class Step(Struct, frozen=True):
    """What one transaction did."""

    record: OperationRecord
    queued: list[Queued]
    changed: list[Change]
    """Where other jobs stand now; deleted ones are not told."""
    has_marked: bool
    """Somebody minds what became of some of them."""


class Tally:
    """What came of the jobs of one slice."""

    def __init__(self) -> None:
        self.taken = 0
        self.queued: list[Queued] = []
        self.changed: list[Change] = []


@operation(Mode.ONE)
def begin(
    action: OperationAction, q: str, given: OperationParams, by: Actor
) -> Op[OperationRecord]:
    """Store an order; whoever keeps the store in order carries it out."""
    params = {
        "action": action,
        "q": q,
        "params": msgspec.json.encode(given).decode(),
        "who": by.name,
        "via": by.via,
        "request_id": by.request_id,
    }
    return record((yield Statement("begin_operation", params))[0])


@operation(Mode.READ)
def find(id: int) -> Op[OperationRecord | None]:
    """Return an operation, or None."""
    found = yield Statement("operation", {"id": id})
    return record(found[0]) if found else None


@operation(Mode.READ)
def newest(before: int | None, limit: int, state: str | None) -> Op[list[OperationRecord]]:
    """Return operations, newest first: those with an id below ``before``."""
    params = {"before": before or NO_ID, "limit": limit, "state": state}
    return [record(row) for row in (yield Statement("operations", params))]


@operation(Mode.READ)
def running() -> Op[list[int]]:
    """Return the ids of the operations that are to be carried out."""
    return [row["id"] for row in (yield Statement("running_operations"))]


def unseen(action: OperationAction, q: str, given: OperationParams, by: Actor) -> OperationRecord:
    """Return a preview that has not looked yet."""
    return OperationRecord(
        id=None,
        action=action,
        q=q,
        params=given,
        who=by.name,
        via=by.via,
        created_at=0,
        state=OperationState.PREVIEW,
        matched=0,
        changed=0,
        refused=0,
        position=0,
        last_id=0,
    )


@operation(Mode.READ)
def preview(
    seen: OperationRecord, wanted: Filter, keep_looking: Callable[[], bool]
) -> Op[OperationRecord]:
    """Count what an operation would do, up to a bound; stops when ``keep_looking`` says so."""
    now: int = (yield Statement("ping"))[0]["now"]
    seen, position = replace(seen, created_at=now), 0
    while True:
        slice_ = yield from _slice(wanted, position, NO_ID)
        rows = yield from _meant("matching", slice_, wanted, now)
        taken = sum(State(row["state"]) in TAKES[seen.action] for row in rows)
        ids = (*seen.first_ids, *(row["id"] for row in rows))
        seen = replace(
            seen,
            matched=seen.matched + len(rows),
            changed=seen.changed + taken,
            refused=seen.refused + len(rows) - taken,
            first_ids=ids[:PREVIEW_IDS],
        )
        position = slice_.end
        if position == NO_ID:
            return seen
        if seen.matched >= PREVIEW_MAX or not keep_looking():
            return replace(seen, more=True)


@operation(Mode.TRANSACTION)
def advance(id: int) -> Op[Step | None]:
    """Carry out one slice; None: somebody else does just now, or it has ended."""
    held = yield Statement("hold_operation", {"id": id})
    if not held:
        return None
    before = record(held[0])
    wanted = Filter(terms=query.parse(before.q))
    position, rows = before.position, []
    for _ in range(LOOKS):
        slice_ = yield from _slice(wanted, position, before.last_id)
        rows = list((yield from _hold(before, slice_, wanted)))
        position = slice_.end
        if rows or position >= before.last_id:
            break
    if before.action is OperationAction.DELETE and rows:
        ids = yield from upkeep.fitting([row["id"] for row in rows])
        position, rows = position if len(ids) == len(rows) else ids[-1], rows[: len(ids)]
    tally = yield from _carry_out(before, rows)
    after = replace(
        before,
        state=OperationState.DONE if position >= before.last_id else OperationState.RUNNING,
        position=position,
        matched=before.matched + len(rows),
        changed=before.changed + tally.taken,
        refused=before.refused + len(rows) - tally.taken,
    )
    noted = yield from _noted(after)
    has_marked = any(row["marks"] is not None for row in rows)
    return Step(noted, tally.queued, tally.changed, has_marked)


@operation(Mode.TRANSACTION)
def cancel(id: int) -> Op[OperationRecord]:
    """Stop an operation after the slice that is carried out just now; what is done stays done.

    Raises OperationNotFound; InvalidTransition when it has ended.
    """
    return (yield from _end(id, OperationState.CANCELLED, None))


@operation(Mode.TRANSACTION)
def fail(id: int, why: str) -> Op[OperationRecord]:
    """Note that an operation cannot be carried out."""
    return (yield from _end(id, OperationState.FAILED, why))


@operation(Mode.ONE)
def prune_operations(age_us: int, limit: int) -> Op[int]:
    """Forget operations that ended longer ago; returns how many, at most ``limit``."""
    return len((yield Statement("prune_operations", {"age_us": age_us, "limit": limit})))


def record(row: Row) -> OperationRecord:
    """Return an operation as its row tells it."""
    return OperationRecord(
        id=row["id"],
        action=OperationAction(row["action"]),
        q=row["q"],
        params=msgspec.json.decode(row["params"], type=OperationParams),
        who=row["who"],
        via=row["via"],
        request_id=row["request_id"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        state=OperationState(row["state"]),
        matched=row["matched"],
        changed=row["changed"],
        refused=row["refused"],
        position=row["position"],
        last_id=row["last_id"],
        error=row["error"],
    )


def _slice(wanted: Filter, after: int, last_id: int) -> Op[Slice]:
    """Find the next ids that may be meant; the states that are asked for lead to them."""
    low, high = wanted.ids
    after, last = max(after, low - 1), min(last_id, high)
    loose = yield from read.loose_ids(wanted)
    params = {"after": after, "last_id": last, "limit": SLICE}
    if loose is None:
        slices = [[row["id"] for row in (yield Statement("ids_above", params))]]
    else:
        slices = [[id for id in loose if after < id <= last][:SLICE]]
        for state in SHELVED & (wanted.states or SHELVED):
            found = yield Statement("shelf_ids_above", {**params, "state": state})
            slices.append([row["id"] for row in found])
    # Beyond the end of a full slice there may be more of that kind, so all end there.
    ends = [ids[-1] for ids in slices if len(ids) == SLICE]
    ids = sorted({id for ids in slices for id in ids if id <= min(ends, default=last)})
    if len(ids) > SLICE:
        return Slice(ids[:SLICE], ids[SLICE - 1])
    return Slice(ids, min(ends, default=last_id))


def _meant(name: str, slice_: Slice, wanted: Filter, as_of: int | None) -> Op[Rows]:
    if not slice_.ids:
        return []
    return (yield Statement(name, {**wanted.params(as_of), "ids": slice_.ids}))


def _hold(order: OperationRecord, slice_: Slice, wanted: Filter) -> Op[Rows]:
    """Lock those of a slice that are meant."""
    if order.action is OperationAction.DELETE:
        yield from await_round_of(slice_.ids)
    return (yield from _meant("hold_matching", slice_, wanted, order.created_at))


def _carry_out(order: OperationRecord, rows: list[Row]) -> Op[Tally]:
    tally = Tally()
    takers = [row for row in rows if State(row["state"]) in TAKES[order.action]]
    if order.action is OperationAction.DELETE:
        tally.taken = yield from _delete(takers)
        return tally
    for row in takers:
        try:
            yield from _steer(order, row, tally)
        except InvalidTransition:  # raised before anything was written
            continue
        tally.taken += 1
    return tally


def _delete(rows: list[Row]) -> Op[int]:
    marked = {row["id"] for row in rows if row["marks"] is not None}
    kept = yield from kept_by_flows(marked)
    ids = [row["id"] for row in rows if row["id"] not in kept]
    if not ids:
        return 0
    yield Statement("prune", {"ids": ids})
    yield from forget(marked - kept)
    return len(ids)


def _steer(order: OperationRecord, row: Row, tally: Tally) -> Op[None]:
    id, given = row["id"], order.params
    match order.action:
        case OperationAction.CANCEL:
            state = yield from steer.cancel(id, given.reason or Reason.BY_USER).start()
            tally.changed.append(Change(id, state, row["queue"]))
        case OperationAction.RERUN:
            queued = yield from steer.rerun(id).start()
            tally.queued += [queued] if queued else []
        case OperationAction.MOVE:
            wanted = Patch(priority=given.priority, queue=given.queue, run_at=given.run_at)
            moved = yield from steer.patch(id, wanted).start()
            tally.queued += [moved.queued] if moved.queued else []


def _end(id: int, state: OperationState, error: str | None) -> Op[OperationRecord]:
    held = yield Statement("lock_operation", {"id": id})
    if not held:
        raise OperationNotFound(f"there is no operation {id}")
    before = record(held[0])
    if before.state is not OperationState.RUNNING:
        raise InvalidTransition(f"operation {id} has ended ({before.state})")
    return (yield from _noted(replace(before, state=state, error=error)))


def _noted(order: OperationRecord) -> Op[OperationRecord]:
    """Write how far it is; with its end who began it and what came of it enter the audit."""
    names = ("id", "state", "position", "matched", "changed", "refused", "error")
    (row,) = yield Statement("note_operation", {name: getattr(order, name) for name in names})
    if order.state is not OperationState.RUNNING:
        by = Actor(order.who, order.via, order.request_id)
        told = audit.facts(
            operation=order.id,
            state=order.state,
            matched=order.matched,
            changed=order.changed,
            refused=order.refused,
            reason=order.params.reason,
        )
        yield from audit.note([AuditNote(by=by, action=AUDITED[order.action], after=told)])
    return record(row)
