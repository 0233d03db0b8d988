"""Jobs as a round of admission finds them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct

from jobpipe.model.gate import GateKind
from jobpipe.model.state import State
from jobpipe.store.port import Op, Row, Statement

STATES = {state.value: state for state in State}
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


def look_at(ids: Collection[int]) -> Op[list[Looked]]:
    """Read jobs, by id; those that are gone are missing."""
    if not ids:
        return []
    return looked((yield Statement("look_at", {"ids": sorted(ids)})))


def looked(rows: Iterable[Row]) -> list[Looked]:
    """Return the jobs that rows show, of which those of a job follow one another."""
    jobs: list[Looked] = []
    last = None
    for row in rows:
        if row["id"] != last:
            last = row["id"]
            jobs.append(_job(row))
        if row["kind"] is not None:
            jobs[-1].gates.append(_wished(row))
    return jobs


def _job(row: Row) -> Looked:
    return Looked(
        row["id"],
        STATES[row["state"]],
        row["marks"] or 0,
        row["token"],
        row["queue"],
        row["priority"],
        row["task"],
        row["group_key"],
        row["tenant"],
        row["started_at"],
        bool(row["is_aside"]),
        [],
    )


def _wished(row: Row) -> Wished:
    return Wished(
        KINDS[row["kind"]],
        row["key"],
        row["terms"],
        row["place"],
        row["line"],
        row["let_through"],
    )
