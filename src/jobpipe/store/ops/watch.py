"""Who watches what changes, and what changed: read for those who were told only that it did."""

from __future__ import annotations

from collections.abc import Sequence

from jobpipe.model.change import Change
from jobpipe.model.state import State
from jobpipe.store.port import Mode, Op, Statement, operation


@operation(Mode.ONE)
def begin_watch(name: str, lease_us: int) -> Op[int]:
    """Let workers tell what they do, for so long; returns the id of the row that says so."""
    found = yield Statement("begin_watch", {"name": name, "lease_us": lease_us})
    watch: int = found[0]["id"]
    return watch


@operation(Mode.ONE)
def prolong_watch(watch: int, lease_us: int) -> Op[bool]:
    """Watch on; False when the row has gone, because it was not prolonged in time."""
    params = {"watch": watch, "lease_us": lease_us}
    return bool((yield Statement("prolong_watch", params)))


@operation(Mode.ONE)
def end_watch(watch: int) -> Op[None]:
    """Watch no more."""
    yield Statement("end_watch", {"watch": watch})


@operation(Mode.READ)
def changed_jobs(ids: Sequence[int], after: int, limit: int) -> Op[dict[int, Change]]:
    """Return where these jobs stand now, and up to ``limit`` jobs with an id beyond ``after``."""
    params = {"ids": list(ids), "after": after, "limit": limit}
    found = yield Statement("changed_jobs", params)
    return {row["id"]: Change(row["id"], State(row["state"]), row["queue"]) for row in found}


@operation(Mode.READ)
def newest_job() -> Op[int]:
    """Return the highest id of all jobs, 0 if there is none."""
    found = yield Statement("newest_job")
    newest: int = found[0]["id"]
    return newest
