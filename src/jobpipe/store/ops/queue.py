"""Settings of a queue that change while jobs are enqueued and run."""

from __future__ import annotations

from jobpipe.store.port import Mode, Op, Statement, operation


@operation(Mode.ONE)
def limit_queue(name: str, max_queued: int | None) -> Op[None]:
    """Bound how many jobs of this queue may wait; None takes the bound away."""
    yield Statement("limit_queue", {"name": name, "max_queued": max_queued})


@operation(Mode.READ)
def queue_bounds() -> Op[dict[str, int]]:
    """Tell how many jobs may wait in each queue that has a bound of its own."""
    return {row["name"]: row["max_queued"] for row in (yield Statement("queue_bounds"))}
