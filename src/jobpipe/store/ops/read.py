"""Answers about jobs, queues and counts; every one bounded.

Each state has its path: queued and timed jobs by their partial indexes, running ones by the claim
records, shelved ones by the shelf, anything else newest first through the key.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.state import SHELVED, State
from jobpipe.store import rows
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


class Filter(Struct, frozen=True, kw_only=True):
    """Which jobs a list shows; None means any."""

    state: State | None = None
    queue: str | None = None
    task: str | None = None
    task_start: str | None = None
    """How the task's name begins."""
    tag: str | None = None
    group: str | None = None
    created_after: int | None = None
    """Created at this time or later."""
    created_before: int | None = None
    before: int | None = None
    """Only ids below this one: the last id of the page before."""

    def params(self) -> dict[str, str | int | None]:
        return {
            "state": self.state,
            "queue": self.queue,
            "task": self.task,
            "task_start": self.task_start,
            "tag": self.tag,
            "group": self.group,
            "created_after": self.created_after,
            "created_before": self.created_before,
        }

    @property
    def takes_all(self) -> bool:
        """Tell whether any job will do."""
        return all(value is None for value in self.params().values())


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


Counts = dict[tuple[str, State], int]


@operation(Mode.READ)
def job(id: int) -> Op[JobRecord | None]:
    """Return the job, or None."""
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
    if wanted.state in SHELVED:
        return (yield from _shelved(wanted, limit))
    if wanted.state is State.RUNNING:
        ids = [row["id"] for row in (yield Statement("running_ids"))]
        return (yield from _by_id(wanted, limit, ids))
    if wanted.state in {State.QUEUED, State.SCHEDULED, State.RETRYING}:
        params = {"state": wanted.state, "bound": SORT_MAX + 1}
        ids = [row["id"] for row in (yield Statement("waiting_ids", params))]
        if len(ids) <= SORT_MAX:
            return (yield from _by_id(wanted, limit, ids))
    return (yield from _newest(wanted, limit, keep_looking))


def _shelved(wanted: Filter, limit: int) -> Op[Page]:
    params = {**wanted.params(), "before": wanted.before or NO_ID, "limit": limit + 1}
    found = yield Statement("shelved", params)
    return _page([rows.job(row) for row in found], limit)


def _by_id(wanted: Filter, limit: int, ids: list[int]) -> Op[Page]:
    before = wanted.before or NO_ID
    ids = sorted({id for id in ids if id < before}, reverse=True)
    found: list[JobRecord] = []
    for start in range(0, len(ids), SCAN):
        params = {**wanted.params(), "ids": ids[start : start + SCAN]}
        found += [rows.job(row) for row in (yield Statement("jobs_by_id", params))]
        if len(found) > limit:
            break
    return _page(found, limit)


def _newest(wanted: Filter, limit: int, keep_looking: Callable[[], bool]) -> Op[Page]:
    found: list[JobRecord] = []
    before = wanted.before or NO_ID
    while True:
        place = {"before": before, "scan": limit + 1 if wanted.takes_all else SCAN}
        found += [
            rows.job(row) for row in (yield Statement("newest", {**wanted.params(), **place}))
        ]
        end = (yield Statement("slice_end", place))[0]
        if end["n"] < place["scan"] or len(found) > limit or _is_past(wanted, end["newest"]):
            return _page(found, limit)
        before = end["last"]
        if not keep_looking():
            return Page(found, before, looked_down_to=before)


def _is_past(wanted: Filter, newest: int) -> bool:
    """Tell whether all that follows was created too early: ids follow time but for a moment."""
    return wanted.created_after is not None and newest < wanted.created_after - SKEW_US


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
    until, limits = row["paused_until"], {"max_queued": row["max_queued"]}
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
