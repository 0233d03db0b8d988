"""Every ask about gates, and about pauses of tasks: what a store runs, what a service is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from msgspec import UNSET, Struct, UnsetType

from jobpipe.app import gate_terms
from jobpipe.app.ask import Ask, Asked, Exchange, Request, one
from jobpipe.app.asks import API, SERVICE_PAGE
from jobpipe.app.gate_views import KINDS, TASK, GateView, gate_view, task_gate
from jobpipe.app.queue_asks import end_of_pause, reason_of_pause, together
from jobpipe.app.requests import MAX_PAGE
from jobpipe.app.steering import steered_gate
from jobpipe.app.views import PageView, time_text
from jobpipe.delivery.hub import Hint
from jobpipe.errors import InvalidArguments
from jobpipe.model.audit import Action
from jobpipe.model.gate import GateKind, GateName
from jobpipe.store.ops import aside
from jobpipe.store.ops import gate_settings as ops
from jobpipe.store.ops.gate_settings import GateRecord
from jobpipe.store.port import Mode, Op, Operation
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import NAME_ALLOWED, is_name, is_whole

GATES = f"{API}/gates"
LIST_MAX = 1_000
"""Most gates of a list, unless said otherwise."""


class GateChange(Struct, frozen=True, kw_only=True):
    """What is to change of a gate; what is UNSET stays as it is."""

    paused: bool | UnsetType = UNSET
    reason: str | None = None
    """Why it is paused, for whoever looks at it."""
    until: datetime | None = None
    """When the pause ends by itself; None: when somebody resumes it."""
    limit: int | str | UnsetType | None = UNSET
    """Of concurrency a number, of a rate ``100/1m``, of a group what its failure means; None: what
    the jobs say counts again."""
    burst: int | None = None
    """Of a rate: how many may start at once."""


class GatePage(Struct, frozen=True):
    """A part of the list of gates."""

    gates: list[GateView]
    next_cursor: str | None


def gates(kind: str | None, limit: int, cursor: str | None = None) -> Asked[GatePage]:
    """List gates by kind and key, then the tasks that are paused."""
    if kind is not None and kind not in KINDS:
        raise refusal("kind", kind, ", ".join(KINDS))
    if not is_whole(limit, 1, MAX_PAGE):
        raise refusal("limit", limit, f"a whole number from 1 to {MAX_PAGE}")
    start = _start(kind, cursor)

    def exchange() -> Exchange[GatePage]:
        shown: list[GateView] = []
        place = cursor
        while True:
            size = min(SERVICE_PAGE, limit - len(shown))
            query = {"kind": kind, "limit": size, "cursor": place}
            page = yield Request(path=GATES, query=query, answer=PageView[GateView])
            shown += page.items
            place = page.next_cursor
            if place is None or len(shown) >= limit:
                return GatePage(shown, place)

    return Ask(operation=_read(kind, start, limit), exchange=exchange)


def change_gate(kind: str, key: str, change: GateChange) -> Asked[GateView]:
    """Pause, resume or limit a key; comes to the gate as it stands then."""
    until, orders = end_of_pause(change.until), _orders(kind, key, change)
    if not orders:
        raise InvalidArguments("nothing is to change", help="Name what the gate is to have.")
    said = {"reason": change.reason, "until": time_text(until), "burst": change.burst}
    body: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    body |= {
        name: value
        for name, value in (("paused", change.paused), ("limit", change.limit))
        if value is not UNSET
    }
    order = together(orders, until)

    def start() -> Op[GateView]:
        yield from order.start()
        return gate_view((yield from _one(kind, key)))

    return Ask(
        operation=Operation(order.name, Mode.TRANSACTION, start),
        hint=lambda _view: Hint(control=True, gates=True),
        exchange=one(
            Request(
                method="PATCH",
                path=f"{GATES}/{quote(kind)}/{quote(key, safe='')}",
                body=body,
                answer=GateView,
                repeatable=True,
            ),
            lambda view: view,
        ),
    )


def _read(kind: str | None, start: tuple[str, str], limit: int) -> Operation[GatePage]:
    """Return what reads a page; tasks come last."""

    def steps() -> Op[GatePage]:
        found = yield from ops.list_gates(start, limit + 1).start()
        found = [each for each in found if kind in (None, each.kind)]
        if len(found) <= limit and kind in (None, TASK):
            pauses = yield from aside.task_pauses().start()
            found += [task_gate(each) for each in pauses if (TASK, each.task) >= start]
        views = [gate_view(each) for each in found]
        rest = [f"{view.kind}:{view.key}" for view in views[limit:]]
        return GatePage(views[:limit], rest[0] if rest else None)

    return Operation("list_gates", Mode.READ, steps)


def _start(kind: str | None, cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return kind or "", ""
    named, colon, key = cursor.partition(":")
    if not colon or named not in KINDS or not is_name(key):
        raise refusal("cursor", cursor, "the next_cursor of a page")
    return named, key


def _one(kind: str, key: str) -> Op[GateRecord]:
    if kind == TASK:
        for pause in (yield from aside.task_pauses().start()):
            if pause.task == key:
                return task_gate(pause)
        return GateRecord(kind=kind, key=key)
    return (yield from ops.gate(kind, key)) or GateRecord(kind=kind, key=key)


def _orders(kind: str, key: str, change: GateChange) -> Sequence[Operation[Any]]:
    if kind not in KINDS:
        raise refusal("kind", kind, ", ".join(KINDS))
    if not is_name(key):
        raise refusal("key", key, NAME_ALLOWED)
    if change.paused is not True and (change.reason is not None or change.until is not None):
        raise InvalidArguments("a reason and an end belong to a pause", help="Pause the key.")
    orders = [] if change.limit is UNSET else [_limit(kind, key, change)]
    if change.limit is UNSET and change.burst is not None:
        raise InvalidArguments("a burst belongs to a rate", help="Give the rate with it.")
    if change.paused is not UNSET:
        orders.append(_pause(kind, key, change))
    return orders


def _limit(kind: str, key: str, change: GateChange) -> Operation[Any]:
    if kind == TASK:
        raise InvalidArguments(
            f"a pause of task {key} has no limit", help="Limit a key of concurrency or rate."
        )
    if key.startswith(gate_terms.OF_QUEUE):
        queue = key.removeprefix(gate_terms.OF_QUEUE)
        raise InvalidArguments(
            f"{key} is what the queue {queue} is set to", help=f"jobpipe queue limit {queue} ..."
        )
    gate = GateName(GateKind(kind), key)
    override = gate_terms.override(gate.kind, change.limit, change.burst)
    return steered_gate(
        Action.LIMIT_GATE, lambda: ops.hold_gate(gate), lambda _by: ops.limit_gate(gate, override)
    )


def _pause(kind: str, key: str, change: GateChange) -> Operation[Any]:
    reason, until = reason_of_pause(change.reason), end_of_pause(change.until)
    if kind == TASK:
        if change.paused:
            return steered_gate(
                Action.PAUSE_TASK,
                lambda: _held_task(key),
                lambda by: aside.pause_task(key, reason, by, until),
            )
        return steered_gate(
            Action.RESUME_TASK, lambda: _held_task(key), lambda _by: aside.resume_task(key)
        )
    gate = GateName(GateKind(kind), key)
    if change.paused:
        return steered_gate(
            Action.PAUSE_GATE,
            lambda: ops.hold_gate(gate),
            lambda by: ops.pause_gate(gate, reason, by, until),
        )
    return steered_gate(
        Action.RESUME_GATE, lambda: ops.hold_gate(gate), lambda _by: ops.resume_gate(gate)
    )


def _held_task(task: str) -> Op[GateRecord]:
    return task_gate((yield from aside.hold_task(task)))
