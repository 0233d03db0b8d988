"""The tenants of queues, as people see them: who waits, and how much each weighs."""

from __future__ import annotations

from msgspec import Struct

from jobpipe.policy.fairness import USUAL_WEIGHT
from jobpipe.store.port import Mode, Op, Statement, operation


class TenantRecord(Struct, frozen=True, kw_only=True):
    """A tenant of a queue that has a weight of its own, or jobs there."""

    queue: str
    name: str
    weight: int = USUAL_WEIGHT
    waiting: int = 0
    """How many of its jobs wait for their turn."""
    queued: int = 0
    running: int = 0


@operation(Mode.READ)
def tenants(
    queue: str | None, limit: int, after: tuple[str, str] | None = None
) -> Op[list[TenantRecord]]:
    """List tenants by queue and name: of one queue or of all, those beyond (queue, name)."""
    after_queue, after_name = after or ("", "")
    found = yield Statement(
        "tenants",
        {"queue": queue, "limit": limit, "after_queue": after_queue, "after_name": after_name},
    )
    return [
        TenantRecord(**{name: row[name] for name in TenantRecord.__struct_fields__})
        for row in found
    ]


def weight_of(queue: str, tenant: str) -> Op[int]:
    """Return how much a tenant weighs."""
    found = yield Statement("weight_of", {"queue": queue, "tenant": tenant})
    return found[0]["weight"] if found else USUAL_WEIGHT


@operation(Mode.ONE)
def set_weight(queue: str, tenant: str, weight: int) -> Op[None]:
    """Set how much a tenant weighs from its next turn on."""
    kept = None if weight == USUAL_WEIGHT else weight
    yield Statement("set_weight", {"queue": queue, "tenant": tenant, "weight": kept})
