"""How many jobs a worker may claim: for its free slots, and a little ahead of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

AHEAD_SECONDS = 0.1
"""How long a job waits here, as long as jobs take what those before it took; what waits longer
is given back with a later look."""

AHEAD_MAX = 2_000
"""Twice ``CLAIM_MAX``: as many wait here as the store is taking meanwhile."""

CLAIM_MAX = 1_000
"""Most jobs of one claim."""


class ReadAhead:
    """Counts what was finished lately: how many more jobs to claim than slots are free."""

    def __init__(self) -> None:
        self.finished = 0
        """How many have been finished since somebody last asked for the room."""
        self._ends: deque[tuple[float, int]] = deque()
        self._sum = 0

    def room(self, now: float) -> int:
        if self.finished:
            self._ends.append((now, self.finished))
            self._sum += self.finished
            self.finished = 0
        while self._ends and self._ends[0][0] < now - AHEAD_SECONDS:
            self._sum -= self._ends.popleft()[1]
        return min(self._sum, AHEAD_MAX)


@dataclass(frozen=True, slots=True)
class Demand:
    """How much a claim may ask for: free slots, and the read-ahead beside them."""

    free: int
    """Free slots less what waits for them; below zero when the read-ahead waits."""
    ahead: int

    @property
    def room(self) -> int:
        return self.free + self.ahead

    @property
    def is_due(self) -> bool:
        """Tell whether to claim now: always while slots are free, else when it is worth a claim.

        A claim of few jobs costs nearly as much as one of many: most of the read-ahead must be
        there to fill. Without this each claim was followed by one of what ended meanwhile.
        """
        return self.room > 0 and self.room >= min(CLAIM_MAX, self.ahead * 3 // 4)
