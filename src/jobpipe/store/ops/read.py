"""Answers about jobs, queues and counts; every one bounded.

Each state has its path: queued and timed jobs by their partial indexes, running ones by the claim
records, shelved ones by the shelf, anything else newest first through the key.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, structs

from jobpipe.model.filter import Filter
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.state import SHELVED, State
from jobpipe.store import rows
from jobpipe.store.ops.blocked import position
from jobpipe.store.port import Mode, Op, Row, Statement, operation

COUNT_MAX = 100_000
"""Counts of waiting jobs stop here: shown as "100,000+"."""

SORT_MAX = 10_000
"""Most waiting jobs that a list sorts by id; beyond it, the newest are found through the key."""

SCAN = 1_000
"""Rows of one slice when a list walks the key."""

SKEW_US = 60 * 1_000_000
"""Longest time between the drawing of an id and that of its job's ``created_at``."""

NO_ID = 2**62

TIMED = frozenset({State.SCHEDULED, State.RETRYING})


class Page(Struct, frozen=True):
    """A page of jobs, newest first."""

    jobs: list[JobRecord]
    next_before: int | None
    """Pass it as ``before`` for the next page; None when this was the last."""
    looked_down_to: int | None = None
    """Set when time ran out: jobs with ids below this one were not looked at."""


class QueueRecord(Struct, frozen=True):
    """A queue that jobs have been sent to, or that somebody has set something of."""

    name: str
    paused_at: int | None = None
    """None also when a pause has come to its end."""
    paused_reason: str | None = None
    paused_by: str | None = None
    paused_until: int | None = None
    max_queued: int | None = None
    concurrency: int | None = None
    rate: str | None = None


Counts = dict[tuple[str, State], int]


@operation(Mode.READ)
def job(id: int) -> Op[JobRecord | None]:
    """Return the job, or None; of one that waits at a gate or for a turn also its position."""
    found = yield from record(id)
    if found is not None and found.state is State.BLOCKED and found.marks is not None:
        return structs.replace(found, position=(yield from position(id)))
    return found


def record(id: int) -> Op[JobRecord | None]:
    """Return the job without its position, which takes a walk; None when there is none."""
    found = yield Statement("job", {"id": id})
    return rows.job(found[0]) if found else None


@operation(Mode.READ)
def state_of(id: int) -> Op[State | None]:
    """Return only the job's state, or None."""
    found = yield Statement("outcome", {"id": id})
    return State(found[0]["state"]) if found else None


@operation(Mode.READ)
def attempts(id: int) -> Op[list[AttemptRecord]]:
    """Return the recorded attempts of a job, oldest first."""
    return [rows.attempt(row) for row in (yield Statement("attempts", {"id": id}))]


@operation(Mode.READ)
def jobs(wanted: Filter, limit: int, keep_looking: Callable[[], bool]) -> Op[Page]:
    """Return up to ``limit`` jobs, newest first; stops when ``keep_looking`` says so."""
    loose = yield from loose_ids(wanted)
    if loose is None:
        return (yield from _newest(wanted, limit, keep_looking))
    return (yield from _by_state(wanted, limit, keep_looking, loose))


def loose_ids(wanted: Filter) -> Op[list[int] | None]:
    """Return the ids of all that may be meant beside what lies on the shelves, lowest first.

    None: they are too many, or some of these states have no path; only the key leads to all.
    """
    states = wanted.states
    if states is None or State.SUCCEEDED in states:
        return None
    ids: set[int] = set()
    if State.RUNNING in states:
        ids.update(row["id"] for row in (yield Statement("running_ids")))
    for state, kind in ((State.QUEUED, {State.QUEUED}), (State.SCHEDULED, TIMED)):
        if states & kind:
            params = {"state": state, "bound": SORT_MAX + 1}
            found = yield Statement("waiting_ids", params)
            if len(found) > SORT_MAX:
                return None
            ids.update(row["id"] for row in found)
    low, high = wanted.ids
    return sorted(id for id in ids if low <= id <= high)


def _by_state(
    wanted: Filter, limit: int, keep_looking: Callable[[], bool], loose: list[int]
) -> Op[Page]:
    """Walk the shelves and the loose ids beside each other, slice by slice."""
    found: list[JobRecord] = []
    before, scan = _start(wanted), limit + 1 if wanted.has_only_states else SCAN
    shelves = SHELVED & (wanted.states or SHELVED)
    while True:
        slices = [[id for id in loose if id < before][-scan:]]
        for state in shelves:
            params = {"state": state, "before": before, "limit": scan}
            slices.append([row["id"] for row in (yield Statement("shelf_ids", params))])
        # Beyond the end of a full slice there may be more of that kind, so all end there.
        end = max((min(ids) for ids in slices if len(ids) == scan), default=0)
        ids = sorted({id for ids in slices for id in ids if id >= end})
        if ids:
            params = {**wanted.params(), "ids": ids, "limit": limit + 1 - len(found)}
            found += [rows.job(row) for row in (yield Statement("jobs_by_id", params))]
        if end <= max(wanted.ids[0], 0) or len(found) > limit:
            return _page(found, limit)
        before = end
        if not keep_looking():
            return Page(found, before, looked_down_to=before)


def _newest(wanted: Filter, limit: int, keep_looking: Callable[[], bool]) -> Op[Page]:
    found: list[JobRecord] = []
    before = _start(wanted)
    while True:
        place = {"before": before, "scan": SCAN if wanted.terms else limit + 1}
        found += [
            rows.job(row) for row in (yield Statement("newest", {**wanted.params(), **place}))
        ]
        end = (yield Statement("slice_end", place))[0]
        if end["n"] < place["scan"] or len(found) > limit or _is_past(wanted, end):
            return _page(found, limit)
        before = end["last"]
        if not keep_looking():
            return Page(found, before, looked_down_to=before)


def _start(wanted: Filter) -> int:
    return min(wanted.before or NO_ID, wanted.ids[1] + 1, NO_ID)


def _is_past(wanted: Filter, end: Row) -> bool:
    """Tell whether all that follows is too old: ids follow time but for a moment."""
    after = wanted.created_after
    if after is not None and end["newest"] < after - SKEW_US:
        return True
    return bool(end["last"] <= wanted.ids[0])


def _page(found: list[JobRecord], limit: int) -> Page:
    more = len(found) > limit
    return Page(found[:limit], found[limit - 1].id if more else None)


@operation(Mode.READ)
def counts(bound: int = COUNT_MAX) -> Op[Counts]:
    """Count jobs by (queue, state); waiting states stop counting at ``bound``."""
    found = yield Statement("counts", {"bound": bound})
    totals: Counts = {}
    for row in found:
        key = (row["queue"], State(row["state"]))
        totals[key] = totals.get(key, 0) + int(row["n"])
    return totals


@operation(Mode.READ)
def queues() -> Op[list[QueueRecord]]:
    """List the queues by name."""
    found = yield Statement("queues")
    return [queue_record(row) for row in found]


def queue_record(row: Row) -> QueueRecord:
    """Return what a row tells of a queue."""
    until, limits = (
        row["paused_until"],
        {name: row[name] for name in ("max_queued", "concurrency", "rate")},
    )
    if until is not None and until <= row["now"]:
        return QueueRecord(row["name"], **limits)
    return QueueRecord(
        row["name"], row["paused_at"], row["paused_reason"], row["paused_by"], until, **limits
    )


@operation(Mode.READ)
def store_id() -> Op[str]:
    """Return the id that tells this store from every other."""
    text: str = (yield Statement("store_id"))[0]["id"]
    return text


@operation(Mode.READ)
def ping() -> Op[int]:
    """Return the store's clock."""
    now: int = (yield Statement("ping"))[0]["now"]
    return now
