"""Every ask about queues: what a store runs, what a service is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from msgspec import UNSET, Struct, UnsetType

from jobpipe.app import gate_terms, records, requests
from jobpipe.app.ask import Ask, Asked, Request, one
from jobpipe.app.asks import API
from jobpipe.app.steering import steered_queue
from jobpipe.app.views import PageView, QueueView, time_text
from jobpipe.delivery.hub import Hint
from jobpipe.errors import InvalidArguments
from jobpipe.model.audit import Action
from jobpipe.model.change import Changes
from jobpipe.model.gate import GateKind
from jobpipe.store.ops import queue as ops
from jobpipe.store.ops import read, steer
from jobpipe.store.ops.queue import QueueLimits
from jobpipe.store.ops.read import Counts, QueueRecord
from jobpipe.store.port import Mode, Op, Operation
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import NAME_ALLOWED, QUEUE_ALLOWED, is_name, is_queue, is_whole

QUEUES = Request(path=f"{API}/queues", answer=PageView[QueueView])

MAX_QUEUED = 1_000_000_000
LIMITS = QueueLimits.__struct_fields__

Order = Callable[[str], Operation[None]]
"""An order, once it is told who gives it."""


class QueueChange(Struct, frozen=True, kw_only=True):
    """What is to change of a queue; what is UNSET stays as it is."""

    paused: bool | UnsetType = UNSET
    reason: str | None = None
    """Why it is paused, for whoever looks at it."""
    until: datetime | None = None
    """When the pause ends by itself; None: when somebody resumes the queue."""
    max_queued: int | UnsetType | None = UNSET
    """How many of its jobs may wait; None takes the bound away."""
    concurrency: int | UnsetType | None = UNSET
    """How many of its jobs may be queued or running at a time, over all processes."""
    rate: str | UnsetType | None = UNSET
    """How many of its jobs may start in a span of time: ``100/1m``, ``5/s``."""
    burst: int | None = None
    """Of the rate, which is named with it: how many may start at once."""


def queues() -> Asked[list[QueueRecord]]:
    """List the queues."""
    return Ask(operation=read.queues(), exchange=one(QUEUES, records.queues))


def queue_counts() -> Asked[Counts]:
    """Count jobs by (queue, state)."""
    return Ask(operation=read.counts(), exchange=one(QUEUES, records.counts))


def change_queue(name: str, change: QueueChange) -> Asked[None]:
    """Pause or resume a queue, or set its limits; raises InvalidArguments for a wrong value."""
    if not is_queue(name):
        raise refusal("name", name, QUEUE_ALLOWED)
    until = end_of_pause(change.until)
    orders = [*_pause_orders(name, change, until), *_limit_orders(name, change)]
    if not orders:
        raise InvalidArguments("nothing is to change", help="Name what the queue is to have.")
    said = {field: getattr(change, field) for field in change.__struct_fields__}
    body = {field: value for field, value in said.items() if value not in (UNSET, None)}
    body |= {field: None for field in LIMITS if said[field] is None}
    if until is not None:
        body["until"] = time_text(until)
    request = Request(
        method="PATCH",
        path=f"{API}/queues/{quote(name)}",
        body=body,
        answer=QueueView,
        repeatable=True,
    )
    paused = {} if change.paused is UNSET else {name: change.paused}
    return Ask(
        operation=together([steered_queue(*each) for each in orders], until),
        hint=lambda _nothing: Hint(control=True, gates=True, changes=Changes(paused=paused)),
        exchange=one(request, lambda _view: None),
    )


def end_of_pause(until: object) -> int | None:
    """Return when a pause ends, checked; raises InvalidArguments."""
    return requests.moment("until", until)


def reason_of_pause(reason: object) -> str | None:
    """Return why something is paused, checked; raises InvalidArguments."""
    if reason is not None and not is_name(reason):
        raise refusal("reason", reason, NAME_ALLOWED)
    return None if reason is None else str(reason)


def together(orders: Sequence[Operation[None]], until: int | None) -> Operation[None]:
    """Return the orders as one; raises InvalidArguments when ``until`` has passed by then."""
    if len(orders) == 1 and until is None:
        return orders[0]

    def start() -> Op[None]:
        if until is not None and until <= (yield from read.ping().start()):
            raise refusal("until", time_text(until), "a time to come, by the store's clock")
        for order in orders:
            yield from order.start()

    return Operation(orders[0].name, Mode.TRANSACTION, start)


def _pause_orders(
    name: str, change: QueueChange, until: int | None
) -> list[tuple[Action, str, Order]]:
    reason = reason_of_pause(change.reason)
    if change.paused is True:
        order: Order = lambda by: steer.pause_queue(name, reason, by, until)  # noqa: E731
        return [(Action.PAUSE_QUEUE, name, order)]
    if reason is not None or until is not None:
        raise InvalidArguments("a reason and an end belong to a pause", help="Pause the queue.")
    if change.paused is False:
        return [(Action.RESUME_QUEUE, name, lambda _by: steer.resume_queue(name))]
    return []


def _limit_orders(name: str, change: QueueChange) -> list[tuple[Action, str, Order]]:
    said: dict[str, Any] = {field: getattr(change, field) for field in LIMITS}
    wanted = {field: value for field, value in said.items() if value is not UNSET}
    if change.burst is not None and wanted.get("rate") is None:
        raise InvalidArguments("a burst belongs to a rate", help="Give the rate with it.")
    if not wanted:
        return []
    bound = wanted.get("max_queued")
    if bound is not None and not is_whole(bound, 1, MAX_QUEUED):
        raise refusal("max_queued", bound, f"a whole number from 1 to {MAX_QUEUED}, or None")
    terms = {
        kind: gate_terms.override(kind, wanted[kind.value], burst)
        for kind, burst in ((GateKind.CONCURRENCY, None), (GateKind.RATE, change.burst))
        if kind.value in wanted
    }
    return [(Action.LIMIT_QUEUE, name, lambda _by: ops.limit_queue(name, wanted, terms))]
