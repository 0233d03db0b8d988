"""Hand jobs out to programs elsewhere, and take back how they ended.

A claim is a worker of its own: it holds the jobs that one call took, for as long as its lease is
renewed, and ends with the last of them. It belongs to its caller, whose name stands as the host of
that worker: to anybody else it is as if it had ended. Every call about it renews the lease, in the
same transaction as what it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec
from msgspec import Struct

from jobpipe.errors import LeaseLost
from jobpipe.model.change import Change
from jobpipe.model.job import Claimed, Finish, Lane
from jobpipe.model.report import LogLine, Progress
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import report
from jobpipe.store.ops.aside import Known, set_aside
from jobpipe.store.ops.claim import Held, Queued, claim, give_back
from jobpipe.store.ops.claim import held as held_by
from jobpipe.store.ops.finish import STATES, Finished, finish
from jobpipe.store.ops.worker import register
from jobpipe.store.port import Batch, Mode, Op, Statement, operation

ALL_MAY_RUN = Known()

Key = tuple[int, int]
"""(job id, token) of an attempt."""


class Sorted(Struct, frozen=True):
    """What becomes of the jobs that a claim has found."""

    jobs: Sequence[Claimed]
    """To be handed out."""
    ended: Sequence[Finish]
    """Nobody is to run these."""
    back: Sequence[Claimed]
    """To be queued again, as if they had not been found."""


class HandedOut(Struct, frozen=True):
    """What one look for jobs came to."""

    found: list[Claimed]
    """All that it took, by lane and rank."""
    claim: int | None
    lease_until: int | None
    """Both None when nothing was handed out."""
    back: list[Queued]
    aside: list[Change] = []
    """Those that are not to run now."""


class Kept(Struct, frozen=True):
    """A lease that was renewed."""

    lease_until: int
    cancels: list[Key]
    """Running jobs of the claim that somebody asked to cancel."""


class Standing(Struct, frozen=True):
    """Where the last attempt of a job stands."""

    id: int
    token: int
    state: State
    claim: int | None
    """Who held it last."""
    task: str
    queue: str
    attempt: int
    max_attempts: int
    started_at: int | None
    now: int
    """The store's clock."""


class Settled(Struct, frozen=True):
    """What the store says to outcomes that were reported."""

    lease_until: int | None
    """None: nothing is held any more, and the claim has ended."""
    written: frozenset[Key]
    """Those that stand in the store, be it from an earlier try."""
    taken: list[Finished]
    """Those that this try has written."""


class Heard(Struct, frozen=True):
    """What the store says to what was told about running jobs."""

    lease_until: int
    accepted: frozenset[Key]


class LogBounds(Struct, frozen=True):
    """How much the log of an attempt may hold."""

    level: int
    """The least grave line that is kept."""
    lines: int
    bytes: int


@operation(Mode.TRANSACTION)
def hand_out(
    worker: NewWorker,
    lease_us: int,
    lanes: Sequence[Lane],
    limit: int,
    *,
    after: Mapping[Lane, int],
    sort: Callable[[Sequence[Claimed]], Sorted],
    now_ns: int,
    claim_id: int | None = None,
    known: Known = ALL_MAY_RUN,
) -> Op[HandedOut]:
    """Take at most ``limit`` jobs for a program, as a worker of its own, and ``sort`` them.

    With ``claim_id`` they are added to that claim. When nothing is found, nothing stays.
    """
    mine = claim_id or (yield from register(worker, lease_us).start())
    found = yield from claim(mine, lanes, limit, after=after, done=()).start()
    if not found:
        if claim_id is None:
            yield Statement("forget_claim", {"claim": mine})
        return HandedOut([], None, None, [])
    doubtful = known.doubtful(found)
    aside = (yield from set_aside(doubtful, known).start()) if doubtful else []
    gone = {change.id for change in aside}
    kept = sort([job for job in found if job.id not in gone])
    if kept.ended:
        yield from finish(kept.ended, now_ns).start()
    back: list[Queued] = []
    if kept.back:
        returned = [Held(job.id, job.token, job.rank, job.claim_id) for job in kept.back]
        back = yield from give_back(returned).start()
    if not kept.jobs:
        if claim_id is None:
            yield Statement("end_worker", {"worker": mine})
        return HandedOut(found, None, None, back, aside)
    grown = yield Statement("grow_claim", {"claim": mine, "jobs": len(kept.jobs)})
    return HandedOut(found, mine, grown[0]["lease_until"], back, aside)


@operation(Mode.TRANSACTION)
def keep_claim(claim_id: int, caller: str) -> Op[Kept]:
    """Renew the lease of a claim and tell what is to be cancelled; raises LeaseLost."""
    until = yield from _kept(claim_id, caller)
    found = yield Statement("cancels", {"claim": claim_id})
    return Kept(until, [(row["id"], row["token"]) for row in found])


@operation(Mode.TRANSACTION)
def give_claim_back(claim_id: int, caller: str) -> Op[list[Queued]]:
    """Queue all jobs of a claim again, uncharged, and end it; raises LeaseLost."""
    yield from _kept(claim_id, caller)
    found = yield from held_by(claim_id).start()
    back: list[Queued] = []
    if found:
        back = yield from give_back(found).start()
    yield Statement("end_worker", {"worker": claim_id})
    return back


@operation(Mode.READ)
def standing(ids: Sequence[int]) -> Op[dict[int, Standing]]:
    """Tell where the jobs stand; those that there are not are missing in the answer."""
    return (yield from _standing(ids))


@operation(Mode.TRANSACTION)
def settle(claim_id: int, caller: str, outcomes: Sequence[Finish], now_ns: int) -> Op[Settled]:
    """Record how jobs of a claim ended; with the last of them the claim ends.

    Written are only outcomes of attempts that this claim holds. Raises LeaseLost when the claim
    has ended, unless all of the outcomes stand in the store already.
    """
    mine = {"claim": claim_id, "caller": caller}
    renewed = yield Statement("keep_claim", mine)
    if not renewed and not (yield Statement("own_claim", mine)):
        raise _ended(claim_id)
    stands = yield from _standing([end.id for end in outcomes])
    known = [end for end in outcomes if _is_of(stands.get(end.id), claim_id, end.token)]
    written = {(end.id, end.token) for end in known if stands[end.id].state == end.state}
    if not renewed:
        if not outcomes or len(written) < len(outcomes):
            raise _ended(claim_id)
        return Settled(None, frozenset(written), [])
    running = [end for end in known if stands[end.id].state is State.RUNNING]
    taken = (yield from finish(running, now_ns).start()) if running else []
    for end in taken:
        if end.cancel_requested and end.state not in FINAL:
            yield Statement("cancel_waiting", {"id": end.id, "reason": Reason.BY_USER})
    ids = {end.id for end in taken}
    written |= {(end.id, end.token) for end in running if end.id in ids}
    until: int | None = renewed[0]["lease_until"]
    if not (yield Statement("held", {"worker": claim_id})):
        yield Statement("end_worker", {"worker": claim_id})
        until = None
    return Settled(until, frozenset(written), taken)


@operation(Mode.TRANSACTION)
def hear_lines(
    claim_id: int, caller: str, lines: Sequence[LogLine], bounds: LogBounds, now_ns: int
) -> Op[Heard]:
    """Add lines to the logs of jobs of a claim, numbered as they come; raises LeaseLost.

    What the bounds leave no room for is dropped without a word.
    """
    until = yield from _kept(claim_id, caller)
    held = yield from _holding(claim_id, {(line.job_id, line.token) for line in lines})
    batch = Batch(("job_id", "token"), sorted(held))
    found = (yield Statement("log_extent", batch=batch)) if held else []
    extents = {(row["job_id"], row["token"]): (row["lines"], row["bytes"]) for row in found}
    kept = [
        line for line in lines if (line.job_id, line.token) in held and line.level >= bounds.level
    ]
    fitting = _fitting(kept, extents, bounds)
    if fitting:
        yield from report.write_lines(fitting, now_ns).start()
    return Heard(until, held)


@operation(Mode.TRANSACTION)
def hear_progress(claim_id: int, caller: str, progresses: Sequence[Progress]) -> Op[Heard]:
    """Note how far jobs of a claim are; of several words on a job the last counts.

    Raises LeaseLost.
    """
    until = yield from _kept(claim_id, caller)
    held = yield from _holding(claim_id, {(said.job_id, said.token) for said in progresses})
    last = {said.job_id: said for said in progresses if (said.job_id, said.token) in held}
    if last:
        yield from report.write_progress(list(last.values())).start()
    return Heard(until, held)


def _kept(claim_id: int, caller: str) -> Op[int]:
    renewed = yield Statement("keep_claim", {"claim": claim_id, "caller": caller})
    if not renewed:
        raise _ended(claim_id)
    until: int = renewed[0]["lease_until"]
    return until


def _ended(claim_id: int) -> LeaseLost:
    return LeaseLost(f"claim {claim_id} has ended; nothing was written")


def _standing(ids: Sequence[int]) -> Op[dict[int, Standing]]:
    found = yield Statement("standing", {"ids": sorted(set(ids))})
    return {
        row["id"]: Standing(
            row["id"],
            row["token"],
            STATES[row["state"]],
            row["claim"],
            row["task"],
            row["queue"],
            row["attempt"],
            row["max_attempts"],
            row["started_at"],
            row["now"],
        )
        for row in found
    }


def _is_of(stands: Standing | None, claim_id: int, token: int) -> bool:
    return stands is not None and (stands.claim, stands.token) == (claim_id, token)


def _holding(claim_id: int, keys: set[Key]) -> Op[frozenset[Key]]:
    """Return those of the attempts that are running and held by this claim."""
    stands = yield from _standing([id for id, _token in keys])
    return frozenset(
        (id, token)
        for id, token in keys
        if _is_of(stands.get(id), claim_id, token) and stands[id].state is State.RUNNING
    )


def _fitting(
    lines: Sequence[LogLine], extents: Mapping[Key, tuple[int, int]], bounds: LogBounds
) -> list[LogLine]:
    """Number the lines of each attempt after those it has, as far as there is room."""
    fitting = []
    of_attempt = attrgetter("job_id", "token")
    for key, group in groupby(sorted(lines, key=of_attempt), of_attempt):
        number, size = extents.get(key, (0, 0))
        for line in group:
            number += 1
            size += len(line.message.encode()) + len((line.fields or "").encode())
            if number > bounds.lines or size > bounds.bytes:
                break
            fitting.append(msgspec.structs.replace(line, number=number))
    return fitting
