"""What became of jobs and queues, in few words: which ones and where, or only how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from jobpipe.model.state import State

CHANGES_MAX = 50
"""Most jobs that are named; beyond it they are only counted."""

Place = tuple[str, State]
"""A queue and a state in it."""


class Change(Struct, frozen=True, gc=False):
    """A job and where it stands now."""

    id: int
    state: State
    queue: str


class Changes(Struct, frozen=True):
    """Jobs that changed: named one by one, or counted by the place to which they went."""

    jobs: tuple[Change, ...] = ()
    """At most ``CHANGES_MAX``, each once; empty where ``tallies`` counts them."""
    tallies: Mapping[Place, int] = {}
    paused: Mapping[str, bool] = {}
    """Queues that were paused (True) or resumed."""
    is_complete: bool = True
    """False: there were more changes, of which nobody can tell."""


NO_CHANGES = Changes()
UNKNOWN = Changes(is_complete=False)
"""Something changed, nobody knows what."""


def changes_of(ids: Sequence[int], places: Sequence[Place]) -> Changes:
    """Return what says that these jobs went to these places."""
    if len(ids) > CHANGES_MAX:
        return Changes(tallies=Counter(places))
    jobs = zip(ids, places, strict=True)
    return Changes(tuple(Change(id, state, queue) for id, (queue, state) in jobs))


def joined(one: Changes, other: Changes) -> Changes:
    """Return what says both, of the same job only the later change."""
    jobs = {change.id: change for change in (*one.jobs, *other.jobs)}
    paused = {**one.paused, **other.paused}
    is_complete = one.is_complete and other.is_complete
    if len(jobs) <= CHANGES_MAX and not one.tallies and not other.tallies:
        return Changes(tuple(jobs.values()), {}, paused, is_complete)
    return Changes((), {**_tallied(one, other)}, paused, is_complete)


def counted(changes: Changes) -> Changes:
    """Return the same without naming a job."""
    return Changes((), {**_tallied(changes)}, changes.paused, changes.is_complete)


def _tallied(*every: Changes) -> Counter[Place]:
    tallies: Counter[Place] = Counter()
    for changes in every:
        tallies.update(changes.tallies)
        tallies.update([(change.queue, change.state) for change in changes.jobs])
    return tallies
