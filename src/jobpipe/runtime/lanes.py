"""Which lanes a worker asks for, in which order, and how much room each has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobpipe.config.settings import QueueSlots
from jobpipe.model.job import Lane

ALL = "*"


@dataclass(frozen=True, slots=True)
class Ask:
    """One claim to make: lanes in order, and the most jobs to take from them together."""

    lanes: tuple[Lane, ...]
    room: int


class LaneChoice:
    """Knows the store's lanes and this worker's queues; says what to claim next.

    Queues that the worker names come in their order, each by priority; ``*`` stands for all the
    others, by priority over all of them, the queues of one priority taking turns.
    """

    def __init__(self, queues: Sequence[QueueSlots]) -> None:
        self._queues = queues
        self._named = {queue.name for queue in queues}
        self._slots = {queue.name: queue.slots for queue in queues if queue.slots is not None}
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

    def asks(self, room: int, held: Counter[str]) -> list[Ask]:
        """Return the claims to make in turn for ``room`` jobs; ``held`` counts jobs by queue.

        A queue with slots of its own is asked lane by lane, so that it never gets more.
        """
        asks: list[Ask] = []
        together: list[Lane] = []
        for entry in self._queues:
            for lane in self._ordered(entry.name):
                slots = self._slots.get(entry.name if entry.name == ALL else lane.queue)
                if slots is None:
                    together.append(lane)
                    continue
                if together:
                    asks.append(Ask(tuple(together), room))
                    together = []
                asks.append(Ask((lane,), min(room, slots - self._taken(entry.name, lane, held))))
        if together:
            asks.append(Ask(tuple(together), room))
        return [ask for ask in asks if ask.room > 0]

    def limited(self, lane: Lane) -> bool:
        """Tell whether the lane's queue has slots of its own (then nothing is read ahead)."""
        return lane.queue in self._slots or (lane.queue not in self._named and ALL in self._slots)

    def room_in(self, lane: Lane, held: Counter[str]) -> int:
        """Return how many more jobs a limited lane's queue may have now."""
        name = lane.queue if lane.queue in self._named else ALL
        return self._slots[name] - self._taken(name, lane, held)

    def _taken(self, name: str, lane: Lane, held: Counter[str]) -> int:
        if name != ALL:
            return held[lane.queue]
        return sum(n for queue, n in held.items() if queue not in self._named)

    def _ordered(self, name: str) -> list[Lane]:
        lanes = [lane for lane in self._lanes if lane.queue not in self._paused]
        if name != ALL:
            mine = [lane for lane in lanes if lane.queue == name]
            return sorted(mine, key=lambda lane: -lane.priority)
        rest = sorted(lane for lane in lanes if lane.queue not in self._named)
        self._turn += 1
        turn = self._turn % len(rest) if rest else 0
        return sorted(rest[turn:] + rest[:turn], key=lambda lane: -lane.priority)
