"""Keep what a flow still needs from being deleted, and delete flows with the last of their jobs."""

from __future__ import annotations

from collections.abc import Collection

from jobpipe.store.ops.rounds import await_round
from jobpipe.store.port import Mode, Op, Statement, operation


def kept_by_flows(ids: Collection[int]) -> Op[set[int]]:
    """Return which of these jobs belong to a flow that has not ended.

    Who deletes the others deletes rows that a round of admission writes, too: it awaits the one
    under way before (see ``rounds``), so that neither waits for the other in the midst of its work.
    """
    if not ids:
        return set()
    return {row["id"] for row in (yield Statement("kept_by_flows", {"ids": sorted(ids)}))}


def forget(ids: Collection[int]) -> Op[None]:
    """Forget what deleted jobs were to others; a flow that has no node left goes too."""
    gone = set(ids)
    while gone:
        found = yield Statement("forget_nodes", {"ids": sorted(gone)})
        left = {row["flow_id"] for row in found if row["flow_id"] is not None}
        gone = set()
        if left:
            rows = yield Statement("forget_flows", {"ids": sorted(left)})
            gone = {row["id"] for row in rows}


@operation(Mode.TRANSACTION)
def prune_empty_flows(age_us: int, limit: int) -> Op[int]:
    """Delete flows without any job that ended longer ago than ``age_us``.

    Returns how many, at most ``limit``.
    """
    yield from await_round()
    rows = yield Statement("prune_empty_flows", {"age_us": age_us, "limit": limit})
    yield from forget({row["id"] for row in rows})
    return len(rows)
