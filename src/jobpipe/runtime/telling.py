"""Tells those who watch what a worker does to jobs: one hint a batch, none while nobody watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.model.change import UNKNOWN, Change, Changes, changes_of
from jobpipe.model.job import Claimed, Finish, Lane
from jobpipe.model.state import State
from jobpipe.store.ops.claim import Queued
from jobpipe.store.ops.finish import Finished

Key = tuple[int, int]


class Telling:
    """Rings a hub with what was queued, always, and with what changed, while somebody watches."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def queued(self, jobs: Sequence[Queued], ended: Sequence[Change] = ()) -> None:
        """Jobs came (back) into the queue, or ended where they might have."""
        is_watched = self._hub.is_watched
        if jobs or (ended and is_watched):
            self._hub.ring(hint_of(jobs, ended, is_watched=is_watched))

    def timed(self) -> None:
        """Jobs wait for a time that nobody here knows: whoever looks finds it."""
        self._hub.ring(Hint(control=True))

    def came_to_gates(self) -> None:
        """Jobs came to their gates, or left what others wait for."""
        self._hub.ring(Hint(gates=True))

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Jobs run now."""
        if self._hub.is_watched:
            places = [(job.queue, State.RUNNING) for job in jobs]
            self._ring(changes_of([job.id for job in jobs], places))

    def finished(
        self, ends: Sequence[Finish], taken: Sequence[Finished], held: Mapping[Key, Claimed]
    ) -> None:
        """Attempts have ended, and the store took these of them; ``held`` is what still ran."""
        if not self._hub.is_watched:
            return
        if len(taken) < len(ends):
            ids = {end.id for end in taken}
            ends = [end for end in ends if end.id in ids]
        jobs = [held.get((end.id, end.token)) for end in ends]
        pairs = zip(jobs, ends, strict=True)
        places = [(job.queue, end.state) for job, end in pairs if job is not None]
        self._ring(changes_of([job.id for job in jobs if job is not None], places))

    def changed(self, changes: Sequence[Change]) -> None:
        """Jobs stand elsewhere now."""
        if changes and self._hub.is_watched:
            places = [(change.queue, change.state) for change in changes]
            self._ring(changes_of([change.id for change in changes], places))

    def something(self) -> None:
        """Jobs have changed that nobody names."""
        if self._hub.is_watched:
            self._ring(UNKNOWN)

    def _ring(self, changes: Changes) -> None:
        self._hub.ring(Hint(changes=changes))


def hint_of(
    queued: Sequence[Queued], ended: Sequence[Change] = (), *, is_watched: bool = True
) -> Hint:
    """Return the hint that these jobs were queued: per lane the lowest rank, and which they are."""
    lanes: dict[Lane, int] = {}
    for job in queued:
        lanes[job.lane] = min(job.rank, lanes.get(job.lane, job.rank))
    if not is_watched:
        return Hint(lanes)
    places = [(job.lane.queue, State.QUEUED) for job in queued]
    places += [(change.queue, change.state) for change in ended]
    ids = [job.id for job in queued] + [change.id for change in ended]
    return Hint(lanes, changes=changes_of(ids, places))
