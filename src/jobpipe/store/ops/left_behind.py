"""Look for queued jobs that all claims have passed: committed late, or given back unheard."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from jobpipe.model.job import Lane
from jobpipe.store.port import Batch, Mode, Op, Statement, operation


class Left(Struct, frozen=True):
    """What was found in a span: so many jobs, the first of them at this rank."""

    rank: int
    count: int


@operation(Mode.READ)
def left_behind(spans: Mapping[Lane, tuple[int, int]], limit: int) -> Op[dict[Lane, Left]]:
    """Tell of each lane what is queued beyond the first rank and up to the second one.

    A lane with nothing is left out; more than ``limit`` are not counted.
    """
    lanes = [(lane.queue, lane.priority, after, until) for lane, (after, until) in spans.items()]
    batch = Batch(("queue", "priority", "after", "until"), lanes)
    found = yield Statement("left_behind", {"limit": limit}, batch=batch)
    return {Lane(row["queue"], row["priority"]): Left(row["rank"], row["n"]) for row in found}
