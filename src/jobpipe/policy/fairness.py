"""How tenants share a queue: start-time fair queueing with weights.

Each tenant has a tag, the virtual time at which its next job begins. The smallest tag has the next
turn and moves on by a job's length, which is the shorter the more the tenant weighs. The clock of
the queue is the tag of the last turn: whoever comes back from idling starts there, so that nobody
is owed his past and nobody who waits is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heapreplace

from msgspec import Struct

USUAL_WEIGHT = 1
MAX_WEIGHT = 1_000
SPAN = 1_000_000
"""The virtual length of a job of a tenant of the usual weight."""

LEAST_READY = 10
MOST_READY = 1_000
"""Bounds of how many jobs of tenants are kept queued in one queue."""
MOST_AT_GATES = 1_000
"""Most jobs of a queue that had their turn and wait at gates."""

EVERY_QUEUE = "*"


class Line(Struct, frozen=True):
    """The line of one tenant."""

    tenant: str
    weight: int
    tag: int
    most: int
    """How many of its jobs may have a turn now."""


class Turn(Struct, frozen=True):
    """One turn of a tenant."""

    tenant: str
    start: int


def turns(lines: Sequence[Line], room: int, clock: int) -> list[Turn]:
    """Hand out at most ``room`` turns, in their order; of equal tags the earlier line is first."""
    heap = [
        (max(line.tag, clock), place, line.most)
        for place, line in enumerate(lines)
        if line.most > 0
    ]
    heapify(heap)
    chosen: list[Turn] = []
    while heap and len(chosen) < room:
        start, place, most = heap[0]
        line = lines[place]
        chosen.append(Turn(line.tenant, start))
        if most > 1:
            heapreplace(heap, (next_tag(start, line.weight), place, most - 1))
        else:
            heappop(heap)
    return chosen


def next_tag(start: int, weight: int) -> int:
    """Return the tag of a tenant after a turn that began at ``start``."""
    return start + SPAN // weight


def ready_jobs(slots: int) -> int:
    """Return how many jobs of tenants to keep queued for so many slots: two for each."""
    return min(max(2 * slots, LEAST_READY), MOST_READY)


def slots_for(queue: str, workers: Iterable[tuple[Sequence[str], int]]) -> int:
    """Return how many slots take a queue; each worker is its queues (``mail:4``, ``*``) and slots.

    ``*`` stands for the queues that a worker does not name.
    """
    total = 0
    for queues, slots in workers:
        own = dict(entry.partition(":")[::2] for entry in queues)
        bound = own.get(queue, own.get(EVERY_QUEUE))
        if bound is not None:
            total += min(slots, int(bound)) if bound else slots
    return total
