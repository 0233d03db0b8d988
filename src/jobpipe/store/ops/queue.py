"""Settings of a queue that change while jobs are enqueued and run."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from jobpipe.model.gate import GateKind, GateName, Wish
from jobpipe.store.ops import steer
from jobpipe.store.ops.gate_settings import limit_gate
from jobpipe.store.port import Mode, Op, Statement, operation


class QueueLimits(Struct, frozen=True):
    """What bounds a queue; None: nothing."""

    max_queued: int | None = None
    """How many of its jobs may wait."""
    concurrency: int | None = None
    """How many of its jobs may be queued or running at a time, over all processes."""
    rate: str | None = None
    """How many may start in a span of time, as it was written: ``100/1m``."""


def gates_of(queue: str, limits: QueueLimits) -> tuple[Wish, ...]:
    """Return the gates that jobs of a queue are to pass; the terms are set, not theirs to say."""
    kinds = ((GateKind.CONCURRENCY, limits.concurrency), (GateKind.RATE, limits.rate))
    return tuple(Wish(kind, f"queue:{queue}") for kind, limit in kinds if limit is not None)


@operation(Mode.TRANSACTION)
def limit_queue(
    name: str, wanted: Mapping[str, int | str | None], terms: Mapping[GateKind, str | None]
) -> Op[None]:
    """Set those limits of a queue that are named; None takes one away.

    ``terms`` are what concurrency and rate mean to their gates, as JSON.
    """
    found = yield from steer.hold_queue(name)
    limits = {field: getattr(found, field) for field in QueueLimits.__struct_fields__}
    yield Statement("limit_queue", {"name": name, **limits, **wanted})
    for kind, text in terms.items():
        yield from limit_gate(GateName(kind, f"queue:{name}"), text).start()


@operation(Mode.READ)
def queue_limits() -> Op[dict[str, QueueLimits]]:
    """Return the limits of the queues that have any."""
    return {
        row["name"]: QueueLimits(row["max_queued"], row["concurrency"], row["rate"])
        for row in (yield Statement("queue_limits"))
    }
