"""Tenants: who shares a queue, what is shown of them, and what they weigh."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import Struct

from jobpipe.app.actor import PYTHON, current
from jobpipe.app.ask import Ask, Asked, Request, one
from jobpipe.app.asks import API
from jobpipe.app.views import PageView
from jobpipe.delivery.hub import Hint
from jobpipe.model.audit import Action, Actor, AuditNote
from jobpipe.policy.fairness import MAX_WEIGHT
from jobpipe.store.ops import audit, tenant
from jobpipe.store.ops.tenant import TenantRecord
from jobpipe.store.port import Mode, Op, operation
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import NAME_ALLOWED, QUEUE_ALLOWED, is_name, is_queue, is_whole

PAGE = 1_000
"""Most tenants of a page, and of a list unless said otherwise."""


class TenantView(Struct, frozen=True, kw_only=True):
    """A tenant of a queue."""

    queue: str
    tenant: str
    weight: int
    waiting: int
    """Its jobs that wait for their turn."""
    queued: int
    running: int


class WeightView(Struct, frozen=True, kw_only=True):
    """How much a tenant of a queue weighs."""

    queue: str
    tenant: str
    weight: int


def tenant_view(record: TenantRecord) -> TenantView:
    """Show a tenant."""
    return TenantView(
        queue=record.queue,
        tenant=record.name,
        weight=record.weight,
        waiting=record.waiting,
        queued=record.queued,
        running=record.running,
    )


def tenant_page(records: list[TenantRecord], limit: int) -> PageView[TenantView]:
    """Show a page of tenants."""
    last = records[-1] if len(records) == limit else None
    cursor = None if last is None else f"{last.queue}:{last.name}"
    return PageView(items=[tenant_view(record) for record in records], next_cursor=cursor)


def tenants(
    queue: str | None, limit: int, after: tuple[str, str] | None
) -> Asked[list[TenantRecord]]:
    """List tenants by queue and name; raises InvalidArguments for a wrong word."""
    if queue is not None and not is_queue(queue):
        raise refusal("queue_name", queue, QUEUE_ALLOWED)
    if not is_whole(limit, 1, PAGE):
        raise refusal("limit", limit, f"a whole number from 1 to {PAGE}")
    cursor = None if after is None else ":".join(after)
    request = Request(
        path=f"{API}/tenants",
        query={"queue": queue, "limit": limit, "cursor": cursor},
        answer=PageView[TenantView],
    )
    return Ask(
        operation=tenant.tenants(queue, limit, after),
        exchange=one(request, lambda page: [_record(view) for view in page.items]),
    )


def set_weight(queue: str, name: str, weight: int) -> Asked[None]:
    """Set how much a tenant of a queue weighs; raises InvalidArguments for a wrong word."""
    if not is_queue(queue):
        raise refusal("queue_name", queue, QUEUE_ALLOWED)
    if not is_name(name):
        raise refusal("tenant", name, NAME_ALLOWED)
    if not is_whole(weight, 1, MAX_WEIGHT):
        raise refusal("weight", weight, f"a whole number from 1 to {MAX_WEIGHT}")
    request = Request(
        method="PATCH",
        path=f"{API}/tenants/{quote(name, safe='')}",
        query={"queue": queue},
        body={"weight": weight},
        answer=WeightView,
        repeatable=True,
    )
    return Ask(
        operation=_weigh(queue, name, weight, current() or PYTHON),
        hint=lambda _nothing: Hint(gates=True),
        exchange=one(request, lambda _view: None),
    )


@operation(Mode.TRANSACTION)
def _weigh(queue: str, name: str, weight: int, by: Actor) -> Op[None]:
    before = yield from tenant.weight_of(queue, name)
    yield from tenant.set_weight(queue, name, weight).start()
    if before != weight:
        note = AuditNote(
            by=by,
            action=Action.SET_WEIGHT,
            queue=queue,
            before=audit.facts(tenant=name, weight=before),
            after=audit.facts(tenant=name, weight=weight),
        )
        yield from audit.note([note])


def _record(view: TenantView) -> TenantRecord:
    return TenantRecord(
        queue=view.queue,
        name=view.tenant,
        weight=view.weight,
        waiting=view.waiting,
        queued=view.queued,
        running=view.running,
    )
