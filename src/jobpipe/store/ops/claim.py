"""Take queued jobs to run them; give back what was not started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from msgspec import Struct

from jobpipe.model.change import Change
from jobpipe.model.job import Claimed, Lane
from jobpipe.model.state import FINAL, State
from jobpipe.store import rows
from jobpipe.store.port import Batch, Mode, Op, Row, Rows, Statement, operation

PAYLOAD_MAX = 64 * 1024 * 1024
"""Payloads of one answer, in characters, beyond which it ends: always after one job at least."""

LANE_COLUMNS = ("queue", "priority", "after")


class Held(Struct, frozen=True):
    """A claim that a worker has not ended yet."""

    id: int
    token: int
    rank: int
    claim_id: int = 0


class Queued(Struct, frozen=True):
    """A job that came (back) into the queue: where, and at what rank."""

    id: int
    lane: Lane
    rank: int


class Moved(Struct, frozen=True):
    """What became of jobs that waited for something else than a worker."""

    queued: list[Queued]
    ended: list[Change]
    """Those that were to end before they came into the queue."""
    blocked: int = 0
    """How many came to their gates."""


@operation(Mode.READ)
def peek(lanes: Sequence[Lane]) -> Op[bool]:
    """Tell whether any of the lanes has a queued job."""
    found = yield Statement("peek", batch=lane_batch(lanes, {}))
    return bool(found)


@operation(Mode.ONE)
def claim(
    worker: int,
    lanes: Sequence[Lane],
    limit: int,
    *,
    after: Mapping[Lane, int],
    done: Sequence[int],
) -> Op[list[Claimed]]:
    """Take at most ``limit`` jobs from the lanes, in their order, each by rank.

    ``after`` is the frontier: per lane the rank beyond which to look. ``done`` are records of
    earlier claims of this worker that are no longer needed. A store may end the answer where its
    payloads reach ``PAYLOAD_MAX``.
    """
    params = {
        "worker": worker,
        "limit": limit,
        "done": list(done),
        "payload_max": PAYLOAD_MAX,
    }
    found = yield Statement("claim", params, batch=lane_batch(lanes, after))
    assert len(found) <= limit, f"claimed {len(found)} jobs, asked for {limit}"
    jobs = sorted(rows.claimed(found), key=attrgetter("rank"))
    if len(lanes) > 1:
        place = {(lane.queue, lane.priority): index for index, lane in enumerate(lanes)}
        jobs.sort(key=lambda job: place[job.queue, job.priority])
    return jobs


def is_last_word(jobs: Sequence[Claimed], limit: int) -> bool:
    """Tell whether the answer to a claim says that nothing is left: it was cut by no bound."""
    return len(jobs) < limit and sum(map(_size, jobs)) < PAYLOAD_MAX


@operation(Mode.READ)
def held(worker: int) -> Op[list[Held]]:
    """List what the store believes this worker runs."""
    found = yield Statement("held", {"worker": worker})
    return [Held(row["id"], row["token"], row["rank"], row["claim_id"]) for row in found]


@operation(Mode.ONE)
def give_back(
    claims: Sequence[Held], *, started: bool = False, suspect: bool = False
) -> Op[list[Queued]]:
    """Queue jobs again whose attempts are to count for nothing: uncharged, at their old rank.

    Those of them that may have ``started`` come to their gates instead, if they have any, and so do
    those whose token of a rate is taken: they are missing in the answer. ``suspect`` marks those
    that were running beside each other when their worker died; they have started, too.
    """
    batch = Batch(
        ("id", "token", "rank"), [(c.id, c.token, c.rank) for c in sorted(claims, key=_id)]
    )
    params = {"started": started or suspect, "suspect": suspect}
    returned = yield Statement("give_back", params, batch=batch)
    return [queued(row) for row in returned if row["rank"] is not None]


def queued(row: Row) -> Queued:
    return Queued(row["id"], Lane(row["queue"], row["priority"]), row["rank"])


def moved(found: Rows) -> Moved:
    """Tell those that are queued now, by rank, from those that have ended, or came to a gate."""
    states = [State(row["state"]) for row in found]
    ended = [
        Change(row["id"], state, row["queue"])
        for row, state in zip(found, states, strict=True)
        if state in FINAL
    ]
    queue = [queued(row) for row in found if row["rank"] is not None]
    queue.sort(key=attrgetter("rank"))
    return Moved(queue, ended, states.count(State.BLOCKED))


def _size(job: Claimed) -> int:
    return len(job.args) + len(job.meta or "") + len(job.checkpoint or "")


def _id(claim: Held) -> int:
    return claim.id


def lane_batch(lanes: Sequence[Lane], after: Mapping[Lane, int]) -> Batch:
    """Return the lanes as rows of a statement, each with the rank beyond which to look."""
    return Batch(LANE_COLUMNS, [(lane.queue, lane.priority, after.get(lane, 0)) for lane in lanes])
