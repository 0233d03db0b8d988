"""Jobs as a round of admission finds them."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from jobpipe.model.gate import GateKind, GateName
from jobpipe.model.state import State
from jobpipe.store.ops.finish import STATES
from jobpipe.store.port import Op, Rows, Statement
from jobpipe.store.rows import values

COLUMNS = 17
"""How many the part ``looked`` of the dialects has."""
GATE_KINDS = {kind.value: kind for kind in GateKind}


class Entry(Struct):
    """A job at one of its gates; the round changes where it stands."""

    job_id: int
    name: GateName
    terms: str | None
    place: int
    line: int | None
    token: int | None
    was: tuple[int, int | None, int | None]

    @property
    def state(self) -> tuple[int, int | None, int | None]:
        return self.place, self.line, self.token


class Looked(Struct, frozen=True):
    """A job as the round found it."""

    id: int
    state: State
    marks: int
    token: int
    queue: str
    priority: int
    task: str
    group: str | None
    tenant: str | None
    started_at: int | None
    is_aside: bool
    """It waits for the end of its task's pause."""
    gates: list[Entry]


class Noted(Struct, frozen=True):
    """What had been noted."""

    ids: frozenset[int]
    jobs: list[Looked]
    """In no order; of the other ids there is no job any more."""
    notes: int
    newest: int | None
    """The highest id of a note; None: there was none."""


def take_looks(since: int, limit: int) -> Op[Noted]:
    """Take so many notes, the oldest first, from one on; and read their jobs."""
    rows = yield Statement("take_looks", {"since": since, "limit": limit})
    of_jobs = {row["job_id"]: row for row in rows}.values()
    return Noted(
        frozenset(row["job_id"] for row in of_jobs),
        looked(rows),
        sum(row["notes"] for row in of_jobs),
        max((row["newest"] for row in of_jobs), default=None),
    )


def look_at(ids: Collection[int]) -> Op[list[Looked]]:
    """Read jobs, in no order; those that are gone are missing."""
    if not ids:
        return []
    return looked((yield Statement("look_at", {"ids": sorted(ids)})))


def looked(rows: Rows) -> list[Looked]:
    """Return the jobs that rows show, each of which shows a gate of one, or none."""
    jobs: dict[int, Looked] = {}
    for row in values(rows):
        # fmt: off
        (
            id, state, marks, token, queue, priority, task, group, tenant, started_at, is_aside,
            kind, key, terms, place, line, let_through,
        ) = tuple(row)[-COLUMNS:]
        # fmt: on
        if id is None:
            continue
        if id not in jobs:
            about = queue, priority, task, group, tenant, started_at, bool(is_aside)
            jobs[id] = Looked(id, STATES[state], marks or 0, token, *about, [])
        if kind is not None:
            stands = place, line, let_through
            name = GateName(GATE_KINDS[kind], key)
            jobs[id].gates.append(Entry(id, name, terms, *stands, stands))
    return list(jobs.values())
