"""Jobs as a round of admission finds them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from operator import attrgetter
from typing import Any

from msgspec import Struct

from jobpipe.model.gate import GateKind
from jobpipe.model.state import State
from jobpipe.store.port import Op, Row, Statement
from jobpipe.store.rows import values

STATES = {state.value: state for state in State}
COLUMNS = 17
"""How many the part ``looked`` of the dialects has."""
KINDS = {kind.value: kind for kind in GateKind}


class Wished(Struct, frozen=True, gc=False):
    """A gate that a job wishes to pass, and where the job stands there."""

    kind: GateKind
    key: str
    terms: str | None
    place: int
    line: int | None
    token: int | None


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
    gates: list[Wished]


class Noted(Struct, frozen=True):
    """What had been noted."""

    ids: frozenset[int]
    jobs: list[Looked]
    """By id; of the others there is no job any more."""
    n: int
    newest: int | None
    """The highest id of a note; None: there was none."""


def take_looks(since: int, limit: int) -> Op[Noted]:
    """Take so many notes, the oldest first, from one on; and read their jobs."""
    rows = yield Statement("take_looks", {"since": since, "limit": limit})
    of_jobs = {row["job_id"]: row for row in rows}.values()
    return Noted(
        frozenset(row["job_id"] for row in of_jobs),
        looked(rows),
        sum(row["n"] for row in of_jobs),
        max((row["newest"] for row in of_jobs), default=None),
    )


def look_at(ids: Collection[int]) -> Op[list[Looked]]:
    """Read jobs, by id; those that are gone are missing."""
    if not ids:
        return []
    return looked((yield Statement("look_at", {"ids": sorted(ids)})))


def looked(rows: Iterable[Row]) -> list[Looked]:
    """Return the jobs that rows show, each of which shows a gate of one, or none, by id."""
    jobs: dict[int, Looked] = {}
    for row in rows:
        id, state, marks, *about, kind, key, terms, place, line, token = _shown(row)
        if id is None:
            continue
        job = jobs.get(id)
        if job is None:
            job = jobs[id] = _job(id, state, marks, *about)
        if kind is not None:
            job.gates.append(Wished(KINDS[kind], key, terms, place, line, token))
    return sorted(jobs.values(), key=attrgetter("id"))


def _job(
    id: int,
    state: str,
    marks: int | None,
    token: int,
    queue: str,
    priority: int,
    task: str,
    group: str | None,
    tenant: str | None,
    started_at: int | None,
    is_aside: object,
) -> Looked:
    about = queue, priority, task, group, tenant, started_at
    return Looked(id, STATES[state], marks or 0, token, *about, bool(is_aside), [])


def _shown(row: Row) -> tuple[Any, ...]:
    """Return the columns that show a job at a gate: the last ones."""
    return tuple(values(row))[-COLUMNS:]
