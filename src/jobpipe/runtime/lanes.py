"""Which lanes a worker asks for, in which order, and how many slots each has left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobpipe.config.settings import QueueSlots
from jobpipe.model.job import Claimed, Lane
from jobpipe.policy.ageing import Ageing

ALL = "*"


@dataclass(frozen=True, slots=True)
class Ask:
    """One claim to make: its lanes in order."""

    lanes: tuple[Lane, ...]
    entry: QueueSlots | None = None
    """The queue whose own slots bound this claim; then nothing is read ahead."""
    lets_in: bool = False
    """Its one lane was passed over for too long: it gets one job before the others."""

    @property
    def is_plain(self) -> bool:
        return self.entry is None and not self.lets_in


class LaneChoice:
    """Knows the store's lanes and this worker's queues; says what to claim next.

    Queues that the worker names come in their order, each by priority; ``*`` stands for all the
    others, by priority over all of them, the queues of one priority taking turns. Among the lanes
    that stand in order of priority, those that are passed over for too long are let in.
    """

    def __init__(self, queues: Sequence[QueueSlots], ageing: Ageing | None = None) -> None:
        self.ageing = ageing or Ageing(0)
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

    def all(self) -> list[Lane]:
        """Return all lanes that it asks for."""
        return [lane for entry in self._queues for lane in self._of(entry.name)]

    def add(self, lanes: Iterable[Lane]) -> None:
        """Take over lanes that a hint named."""
        self._lanes = self._lanes.union(lanes)

    def asks(self, now: float) -> list[Ask]:
        """Return the claims to make, in their order (seconds on a monotonic clock).

        A queue with slots of its own is asked lane by lane, so that it never gets more.
        """
        asks: list[Ask] = []
        for entry in self._queues:
            lanes = self._ordered(entry.name)
            bound = None if entry.slots is None else entry
            late = self.ageing.overdue(lanes, now)
            if late is not None:
                asks.append(Ask((late,), bound, lets_in=True))
            if bound is not None:
                asks += [Ask((lane,), bound) for lane in lanes]
            elif asks and asks[-1].entry is None and not asks[-1].lets_in:
                asks[-1] = Ask((*asks[-1].lanes, *lanes))
            elif lanes:
                asks.append(Ask(tuple(lanes)))
        return asks

    def answered(self, ask: Ask, found: Sequence[Claimed], is_all: bool, now: float) -> None:
        """Take over what a claim has found; ``is_all`` tells that nothing was left."""
        if found and found[-1].queue not in self._named:
            self._turn += 1
        if len(self._lanes) < 2:
            return
        if ask.lets_in and found:
            self.ageing.let_in(ask.lanes[0])
        elif is_all:
            self.ageing.reached(ask.lanes)
        elif found:
            last = Lane(found[-1].queue, found[-1].priority)
            self.ageing.reached(ask.lanes[: ask.lanes.index(last) + 1])
            self.ageing.passed(self._behind(last), last.priority, now)

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

    def _behind(self, served: Lane) -> list[Lane]:
        """Return the lanes of a lower priority that stand in one order with a lane."""
        name = served.queue if served.queue in self._named else ALL
        return [lane for lane in self._of(name) if lane.priority < served.priority]

    def _of(self, name: str) -> list[Lane]:
        """Return the lanes of an entry; those of paused queues are none."""
        lanes = [lane for lane in self._lanes if lane.queue not in self._paused]
        if name != ALL:
            return [lane for lane in lanes if lane.queue == name]
        return [lane for lane in lanes if lane.queue not in self._named]

    def _ordered(self, name: str) -> list[Lane]:
        if name != ALL:
            return sorted(self._of(name), key=lambda lane: -lane.priority)
        rest = sorted(self._of(ALL))
        turn = self._turn % len(rest) if rest else 0
        return sorted(rest[turn:] + rest[:turn], key=lambda lane: -lane.priority)
