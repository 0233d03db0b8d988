"""Jobs as a round of admission finds them."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from jobpipe.model.state import State
from jobpipe.store.port import Op, Row, Statement


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


def look_at(ids: Collection[int]) -> Op[list[Looked]]:
    """Read jobs, by id; those that are gone are missing."""
    if not ids:
        return []
    return [looked(row) for row in (yield Statement("look_at", {"ids": sorted(ids)}))]


def looked(row: Row) -> Looked:
    """Return the job that a row shows."""
    return Looked(
        row["id"],
        State(row["state"]),
        row["marks"] or 0,
        row["token"],
        row["queue"],
        row["priority"],
        row["task"],
        row["group_key"],
        row["tenant"],
        row["started_at"],
    )
