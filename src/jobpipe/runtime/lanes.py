"""Which lanes a worker asks for, in which order, and how many slots each has left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobpipe.config.settings import QueueSlots
from jobpipe.model.job import Lane

ALL = "*"


@dataclass(frozen=True, slots=True)
class Ask:
    """One claim to make: its lanes in order."""

    lanes: tuple[Lane, ...]
    entry: QueueSlots | None = None
    """The queue whose own slots bound this claim; then nothing is read ahead."""


class LaneChoice:
    """Knows the store's lanes and this worker's queues; says what to claim next.

    Queues that the worker names come in their order, each by priority; ``*`` stands for all the
    others, by priority over all of them, the queues of one priority taking turns.
    """

    def __init__(self, queues: Sequence[QueueSlots]) -> None:
        self._queues = queues
        self._named = {queue.name for queue in queues}
        self._lanes: frozenset[Lane] = frozenset()
        self._paused: frozenset[str] = frozenset()
        self._turn = 0

    def know(self, lanes: Iterable[Lane], paused: Iterable[str]) -> bool:
        """Take over what the store says; tell whether a lane is new or no longer paused."""
        before = (self._lanes, self._paused)
        self._lanes = self._lanes.union(lanes)
        self._paused = frozenset(paused)
        return self._lanes > before[0] or not self._paused >= before[1]

    def add(self, lanes: Iterable[Lane]) -> None:
        """Take over lanes that a hint named."""
        self._lanes = self._lanes.union(lanes)

    def asks(self) -> list[Ask]:
        """Return the claims to make, in their order.

        A queue with slots of its own is asked lane by lane, so that it never gets more.
        """
        asks: list[Ask] = []
        together: list[Lane] = []
        for entry in self._queues:
            for lane in self._ordered(entry.name):
                if entry.slots is None:
                    together.append(lane)
                    continue
                if together:
                    asks.append(Ask(tuple(together)))
                    together = []
                asks.append(Ask((lane,), entry))
        if together:
            asks.append(Ask(tuple(together)))
        return asks

    def slots_left(self, ask: Ask, held: Counter[str]) -> int | None:
        """Return how many more jobs the ask's queue may have, ``held`` counting jobs by queue.

        None means that it has no slots of its own.
        """
        if ask.entry is None or ask.entry.slots is None:
            return None
        if ask.entry.name != ALL:
            return ask.entry.slots - held[ask.entry.name]
        others = sum(n for queue, n in held.items() if queue not in self._named)
        return ask.entry.slots - others

    def _ordered(self, name: str) -> list[Lane]:
        lanes = [lane for lane in self._lanes if lane.queue not in self._paused]
        if name != ALL:
            mine = [lane for lane in lanes if lane.queue == name]
            return sorted(mine, key=lambda lane: -lane.priority)
        rest = sorted(lane for lane in lanes if lane.queue not in self._named)
        self._turn += 1
        turn = self._turn % len(rest) if rest else 0
        return sorted(rest[turn:] + rest[:turn], key=lambda lane: -lane.priority)
