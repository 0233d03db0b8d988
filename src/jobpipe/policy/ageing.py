"""Which lane is asked first because it was passed over for too long. Pure; time is passed in.

A claim that is filled before it comes to a lane passes that lane over. Once that has gone on for
``step_seconds`` for each step of priority between the lane and the one that was served in its
place, the lane is let in: it gets one job before all others. While it is passed over still, each
tenth of that time gets it one more. A claim that comes to the lane in its turn ends the count.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobpipe.model.job import Lane

AGAIN = 0.1
"""The part of the first wait after which a lane that was let in is let in again."""


class Ageing:
    """How long lanes have been passed over by one claimer; seconds on a monotonic clock."""

    def __init__(self, step_seconds: float) -> None:
        """Without a ``step_seconds`` nothing ages."""
        self._step = step_seconds
        self._due: dict[Lane, float] = {}
        self._let_in: set[Lane] = set()
        """Lanes that have had a job already since a claim last came to them in their turn."""
        self._has_turn = False
        """A claim has been filled in order since somebody was let in last."""

    def passed(self, lanes: Iterable[Lane], served: int, now: float) -> None:
        """Note that jobs of the priority ``served`` left no room for these lanes."""
        if not self._step:
            return
        self._has_turn = True
        for lane in lanes:
            wait = self._step * (served - lane.priority)
            due = now + (wait * AGAIN if lane in self._let_in else wait)
            self._due[lane] = min(due, self._due.get(lane, due))

    def reached(self, lanes: Iterable[Lane]) -> None:
        """Note that a claim came to these lanes in their turn."""
        for lane in lanes:
            self._due.pop(lane, None)
            self._let_in.discard(lane)

    def overdue(self, lanes: Iterable[Lane], now: float) -> Lane | None:
        """Return the lane that is to be let in before all of these, if there is one.

        Between two of them a claim is made in order, so that those who stand first go on.
        """
        if not self._has_turn:
            return None
        late = [lane for lane in lanes if lane in self._due and self._due[lane] <= now]
        return min(late, key=self._due.__getitem__, default=None)

    def let_in(self, lane: Lane) -> None:
        """Note that the lane got its job; it waits anew from when it is passed over next."""
        self._due.pop(lane, None)
        self._let_in.add(lane)
        self._has_turn = False
