"""What keeps a store in order: promote what is due, expire, unpark, prune, fold the counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from jobpipe.model.change import Change
from jobpipe.model.state import FINAL, State
from jobpipe.model.takes import Takes
from jobpipe.store.ops.claim import Moved, moved
from jobpipe.store.ops.forget import forget, kept_by_flows
from jobpipe.store.ops.rounds import await_round
from jobpipe.store.port import Batch, Mode, Op, Row, Statement, operation

PRUNE_LINES = 20_000
"""About how many lines of logs one step of pruning deletes, so that others have their turn."""


class Pruned(Struct, frozen=True):
    """How far a step of pruning came."""

    deleted: int
    position: int
    """Where the next step goes on; 0 when the walk came to its end."""


@operation(Mode.ONE)
def promote(limit: int, since: int = 0) -> Op[Moved]:
    """Queue up to ``limit`` jobs whose time has come; some end instead."""
    return moved((yield Statement("promote", {"limit": limit, "since": since})))


@operation(Mode.ONE)
def expire(limit: int, since: int = 0) -> Op[list[Change]]:
    """Fail up to ``limit`` queued jobs that nobody started in time; returns which."""
    expired = yield Statement("expire", {"limit": limit, "since": since})
    return [Change(row["id"], State.FAILED, row["queue"]) for row in expired]


@operation(Mode.READ)
def find_parked(
    takes: Sequence[Takes], reasons: Sequence[str], limit: int, *, after: int = 0, anew: bool = True
) -> Op[list[int]]:
    """List parked jobs beyond the id ``after`` that who ``takes`` these could run.

    Unless they are looked at ``anew``, by code that is new to them, only those that have rested:
    the longer, the more often they were claimed; and none that such code has failed to upgrade.
    """
    params = {"reasons": list(reasons), "limit": limit, "after": after, "anew": anew}
    batch = Batch(
        ("task", "oldest", "newest"), [(each.task, each.oldest, each.newest) for each in takes]
    )
    return [row["id"] for row in (yield Statement("find_parked", params, batch=batch))]


@operation(Mode.ONE)
def unpark(ids: Sequence[int]) -> Op[Moved]:
    """Queue parked jobs again; one that was to be cancelled ends instead."""
    return moved((yield Statement("unpark", {"ids": sorted(ids)})))


@operation(Mode.ONE)
def take_duty(name: str, every_us: int) -> Op[int | None]:
    """Take a duty that is due, for one round; returns its stored position, None if not due."""
    found = yield Statement("take_duty", {"name": name, "every_us": every_us})
    return found[0]["position"] if found else None


@operation(Mode.TRANSACTION)
def prune(after: int, limit: int, keep_us: Mapping[State, int | None]) -> Op[Pruned]:
    """Look at ``limit`` jobs beyond the id ``after`` and delete those kept long enough.

    ``keep_us`` says how long a job in each final state is kept; None keeps it for ever. Whoever
    holds a key for a time is kept that long, the jobs of a flow until it has ended.
    """
    slice_ = yield Statement("old_jobs", {"after": after, "limit": limit})
    old = []
    for row in slice_:
        keep = keep_us.get(State(row["state"])) if row["state"] in FINAL else None
        if keep is not None and row["finished_at"] <= row["now"] - keep and not row["needed"]:
            old.append(row["id"])
    ids = (yield from fitting(old)) if old else []
    chosen = set(ids)
    marked = {row["id"] for row in slice_ if row["id"] in chosen and row["marks"]}
    if marked:
        yield from await_round()
        chosen -= yield from kept_by_flows(marked)
    found = (yield Statement("prune", {"ids": sorted(chosen)})) if chosen else []
    deleted = {row["id"] for row in found}
    yield from forget(marked & deleted)
    spans = [keep for keep in keep_us.values() if keep is not None]
    at_end = len(slice_) < limit or not spans or _too_young(slice_[-1], min(spans))
    position = 0 if at_end else slice_[-1]["id"]
    if len(ids) < len(old):
        position = ids[-1]
    yield Statement("note_position", {"name": "prune", "position": position})
    return Pruned(len(deleted), position)


def fitting(ids: list[int]) -> Op[list[int]]:
    """Return the first of these jobs, as far as one transaction may delete their logs.

    It is one at least.
    """
    found = yield Statement("log_reach", {"ids": ids, "limit": PRUNE_LINES})
    reached = found[0]["reached"]
    return ids if reached is None else [id for id in ids if id < reached] or ids[:1]


def _too_young(row: Row, shortest: int) -> bool:
    """Whatever was created after this row is younger still, so the walk may end."""
    return bool(row["created_at"] > row["now"] - shortest)


@operation(Mode.ONE)
def prune_workers(age_us: int, claims_age_us: int) -> Op[int]:
    """Forget workers that ended longer ago than ``age_us``, and claims of programs elsewhere
    that ended longer ago than ``claims_age_us``: jobs that are kept longer lose their name."""
    params = {"age_us": age_us, "claims_age_us": claims_age_us}
    return len((yield Statement("prune_workers", params)))


@operation(Mode.ONE)
def rollup() -> Op[int]:
    """Fold the appended counters; returns how many rows there were to fold."""
    return len((yield Statement("rollup")))
