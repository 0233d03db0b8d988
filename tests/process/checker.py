"""The judge: a ledger and the store's final contents in, anomalies by name out. Pure.

It knows nothing of Jobpipe's code. A second run of a job is no anomaly when a fault met the first
one, since jobs run at least once; without a fault each runs once for each recorded reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import combinations, pairwise

from msgspec import Struct

from tests.process import admission
from tests.process.case import Case
from tests.process.contents import FINAL, Contents, JobRow
from tests.process.history import Run
from tests.process.ledger import Entry


class Kind(StrEnum):
    """The names of what can be wrong."""

    LOST = "lost"
    DOUBLED = "doubled"
    OVERLAPPING = "overlapping"
    REORDERED = "reordered"
    EARLY = "early"
    STALE = "stale"
    STUCK = "stuck"
    ABORTED = "aborted"
    UNCHARGED = "uncharged"
    OVERCHARGED = "overcharged"
    TOKEN_NOT_RISING = "token not rising"
    TALLY_DRIFT = "tally drift"
    CONSERVATION = "conservation"
    LEASE_LOST = "lease lost without a cause"
    OVER_LIMIT = "over the limit"
    OUT_OF_TURN = "out of turn"
    OVER_RATE = "over the rate"
    NOT_CALLED_ONCE = "not called once"
    PREMATURE = "premature"
    LEAKED = "slot leaked"


class Anomaly(Struct, frozen=True):
    """One thing that must not happen, and did."""

    kind: Kind
    what: str


def check(
    entries: Iterable[Entry],
    contents: Contents,
    *,
    in_order: bool = False,
    lease_seconds: float = 1.0,
) -> list[Anomaly]:
    """Return every anomaly. ``in_order``: one worker of one slot ran each lane alone."""
    case = Case(entries, contents, in_order=in_order, lease_seconds=lease_seconds)
    return [Anomaly(kind, what) for kind, find in FINDERS for what in find(case)]


def find_lost(case: Case) -> Iterator[str]:
    """An acknowledged job is gone, or counts as done although nobody did it."""
    ids = {job.id for job in case.contents.jobs}
    for wish in case.history.wishes.values():
        if wish.acked is not None and (wish.op not in case.by_op or not wish.jobs <= ids):
            yield f"{wish.op} was acknowledged as {sorted(wish.jobs)} and is not in the store"
    for job in case.contents.jobs:
        returned = [run for run in case.history.runs[job.id] if run.how == "returned"]
        if job.state == "succeeded" and not returned:
            yield f"job {job.id} counts as succeeded, but no run of it returned"
        losses = sum(row.outcome == "lost" for row in case.attempts[job.id])
        if (job.state, job.reason) == ("failed", "lost") and losses < job.max_losses:
            yield f"job {job.id} was given up after {losses} of {job.max_losses} losses"


def find_doubled(case: Case) -> Iterator[str]:
    """One wish became two jobs, or a job that was done was done again without a fault."""
    for op, jobs in case.by_op.items():
        if len(jobs) > 1:
            yield f"{op} became the jobs {[job.id for job in jobs]}"
    keys = Counter(job.key for job in case.contents.jobs if job.key is not None)
    for key, n in keys.items():
        if n > 1:
            yield f"key {key} has {n} jobs"
    for job in case.contents.jobs:
        successes = [row.token for row in case.attempts[job.id] if row.outcome == "succeeded"]
        if len(successes) > 1 + job.reruns:
            yield f"job {job.id} has successes recorded under the tokens {successes}"
        returned = [run for run in case.history.runs[job.id] if run.how == "returned"]
        for first, second in pairwise(returned):
            ended_otherwise = case.recorded(first) in ("timed_out", "failed", "snoozed")
            if not (ended_otherwise or job.reruns or case.history.is_excused(first, second)):
                yield f"the {first} returned, and yet the {second} did the work again"


def find_overlapping(case: Case) -> Iterator[str]:
    """Two runs of one job at the same time, though no fault took the older one's lease."""
    for runs in case.history.runs.values():
        for one, other in combinations(runs, 2):
            older = min(one, other, key=lambda run: run.token)
            if other.start >= case.history.end_of(one):
                continue
            timed_out = case.recorded(older) == "timed_out"
            if not (timed_out or case.history.is_excused(one, other)):
                yield f"the {one} went on while the {other} began"


def find_reordered(case: Case) -> Iterator[str]:
    """A job began before one that was acknowledged earlier and stood before it in its lane."""
    if not case.in_order:
        return
    lanes: defaultdict[tuple[str, int], list[tuple[JobRow, Run, int]]] = defaultdict(list)
    for job in case.contents.jobs:
        wish, runs = case.history.wishes.get(job.op), case.history.runs[job.id]
        waits = wish and (wish.delay or wish.gates or wish.after)
        if wish and wish.acked is not None and not waits and runs and runs[0].token == 1:
            lanes[job.queue, job.priority].append((job, runs[0], wish.acked))
    for lane, jobs in lanes.items():
        for (first, earlier, acked), (second, later, _) in combinations(jobs, 2):
            if acked < later.start < earlier.start:
                yield f"job {second.id} began before job {first.id} in lane {lane}"


def find_early(case: Case) -> Iterator[str]:
    """A job began before its time."""
    for job in case.contents.jobs:
        wish, runs = case.history.wishes.get(job.op), case.history.runs[job.id]
        if not wish or not runs or case.history.clock_moved_between(wish.invoked, runs[0].start):
            continue
        if runs[0].start < wish.invoked + wish.delay * 1e9:
            yield f"job {job.id} was to wait for {wish.delay} s and did not"


def find_stale(case: Case) -> Iterator[str]:
    """The outcome of an attempt stands that was not the current one."""
    for job in case.contents.jobs:
        if job.state == "succeeded" and job.result_token != job.token:
            yield f"job {job.id} has the result of token {job.result_token}, not {job.token}"
        later = [row.token for row in case.attempts[job.id] if row.token > job.token]
        if later:
            yield f"job {job.id} stands at token {job.token}, its history goes on to {later}"


def find_stuck(case: Case) -> Iterator[str]:
    """A job is neither done nor given up when everything is quiet."""
    for job in case.contents.jobs:
        if job.state not in FINAL:
            yield f"job {job.id} ({job.op}) is {job.state}"


def find_aborted(case: Case) -> Iterator[str]:
    """A job exists or ran whose enqueue was refused or rolled back."""
    ran = {run.op for runs in case.history.runs.values() for run in runs}
    for wish in case.history.wishes.values():
        if wish.must_not_exist and (wish.op in ran or wish.op in case.by_op):
            yield f"{wish.op} was not enqueued, and yet it is there or ran"


def charged(case: Case, job: JobRow) -> int:
    """Count the attempts that the history of a job charges for."""
    rows = case.attempts[job.id]
    started = {run.token for run in case.history.runs[job.id]}
    count = sum(row.outcome in ("succeeded", "failed", "timed_out") for row in rows)
    count += sum(row.outcome == "cancelled" and row.token in started for row in rows)
    unrecorded = job.state == "succeeded" and all(row.token != job.token for row in rows)
    return count + unrecorded


def find_uncharged(case: Case) -> Iterator[str]:
    """A run is missing in the count of attempts, or a loss in the count of losses."""
    for job in case.contents.jobs:
        wanted = charged(case, job)
        if not job.reruns and job.state in FINAL and job.attempt < wanted:
            yield f"job {job.id} counts {job.attempt} attempts, its history {wanted}"
        losses = sum(row.outcome == "lost" for row in case.attempts[job.id])
        if not job.reruns and job.losses < losses:
            yield f"job {job.id} counts {job.losses} losses, its history {losses}"


def find_overcharged(case: Case) -> Iterator[str]:
    """An attempt is counted that was given back or lost, or a loss that was none."""
    for job in case.contents.jobs:
        wanted = charged(case, job)
        if not job.reruns and job.state in FINAL and job.attempt > wanted:
            yield f"job {job.id} counts {job.attempt} attempts, its history {wanted}"
        losses = sum(row.outcome == "lost" for row in case.attempts[job.id])
        if not job.reruns and job.losses > losses:
            yield f"job {job.id} counts {job.losses} losses, its history {losses}"


def find_tokens_not_rising(case: Case) -> Iterator[str]:
    """A later claim has no higher token; a paused worker may start late with an old one."""
    tokens = {job.id: job.token for job in case.contents.jobs}
    for id, runs in case.history.runs.items():
        for earlier, later in pairwise(runs):
            late = later.token < earlier.token and case.history.is_excused(earlier, later)
            if later.token <= earlier.token and not late:
                yield f"the {later} came after the {earlier}"
        highest = max((run.token for run in runs), default=0)
        if id in tokens and tokens[id] < highest:
            yield f"job {id} stands at token {tokens[id]}, a run had {highest}"


def find_tally_drift(case: Case) -> Iterator[str]:
    """The kept counters differ from a count of the rows."""
    rows = Counter((job.queue, job.state) for job in case.contents.jobs if job.state in FINAL)
    for place in sorted(rows.keys() | case.contents.tally.keys()):
        kept, found = case.contents.tally.get(place, 0), rows[place]
        if kept != found:
            yield f"{place}: {kept} counted, {found} found"


def find_conservation(case: Case) -> Iterator[str]:
    """A job, or a run, that nobody asked for."""
    ids = {job.id for job in case.contents.jobs}
    wishes = case.history.wishes
    for job in case.contents.jobs:
        if job.op not in wishes:
            yield f"nobody asked for job {job.id} ({job.op})"
    for id, runs in case.history.runs.items():
        refused = any(wishes[run.op].must_not_exist for run in runs if run.op in wishes)
        if runs and id not in ids and not refused:
            yield f"job {id} ran and is not in the store"


def find_lease_lost(case: Case) -> Iterator[str]:
    """A worker lost its lease though no fault met it."""
    for event in case.history.events:
        met = any(
            fault.whom in (None, event.pid) and fault.began < event.at
            for fault in case.history.faults
        )
        if event.how == "LeaseEnded" and not met:
            yield f"worker process {event.pid}: {event.detail}"


FINDERS: list[tuple[Kind, Callable[[Case], Iterator[str]]]] = [
    (Kind.LOST, find_lost),
    (Kind.DOUBLED, find_doubled),
    (Kind.OVERLAPPING, find_overlapping),
    (Kind.REORDERED, find_reordered),
    (Kind.EARLY, find_early),
    (Kind.STALE, find_stale),
    (Kind.STUCK, find_stuck),
    (Kind.ABORTED, find_aborted),
    (Kind.UNCHARGED, find_uncharged),
    (Kind.OVERCHARGED, find_overcharged),
    (Kind.TOKEN_NOT_RISING, find_tokens_not_rising),
    (Kind.TALLY_DRIFT, find_tally_drift),
    (Kind.CONSERVATION, find_conservation),
    (Kind.LEASE_LOST, find_lease_lost),
    (Kind.OVER_LIMIT, admission.find_over_limit),
    (Kind.OUT_OF_TURN, admission.find_out_of_turn),
    (Kind.OVER_RATE, admission.find_over_rate),
    (Kind.NOT_CALLED_ONCE, admission.find_not_called_once),
    (Kind.PREMATURE, admission.find_premature),
    (Kind.LEAKED, admission.find_leaked),
]
