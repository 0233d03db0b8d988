"""Fair turns between the tenants of a queue: a stage of the round that admits.

A job with a tenant waits in its tenant's line until it has its turn; then it comes to its gates,
and not back to the line before it has run. No more have had their turn and not started than keep
the workers busy: whoever comes late need not wait for the lines of others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from jobpipe.model.state import State
from jobpipe.policy.fairness import (
    MOST_AT_GATES,
    MOST_READY,
    Line,
    Turn,
    next_tag,
    ready_jobs,
    slots_for,
    turns,
)
from jobpipe.store.ops.look import Looked, look_at
from jobpipe.store.port import Batch, Op, Row, Statement

QUEUES_MAX = 50
"""Most queues that one round hands out turns in."""

TENANTS_MAX = 100
"""Most tenants whose new jobs one round brings to their lines."""

ARRIVALS_MAX = 1_000
"""Most jobs that one round brings to their lines."""

TURN_COLUMNS = ("queue", "tenant", "tag", "urgency", "place")

Workers = list[tuple[list[str], int]]


class Fair(Struct, frozen=True):
    """What the lines have let go."""

    free: list[Looked]
    """What may come to its gates now, in order; jobs without a tenant among them."""
    more: bool
    """There are turns left to hand out, by the next round."""


class Arrived(Struct, frozen=True):
    """Jobs that were stored since the last round."""

    ids: frozenset[int]
    more: bool


NOBODY = Arrived(frozenset(), False)


class _Lines(Struct, frozen=True):
    """The queue of some lines, as the round found it."""

    queue: str
    clock: int
    low: int
    first: int


class _Heads(Struct, frozen=True):
    """What was taken from the line of one tenant."""

    jobs: list[Looked]
    """Those that are still blocked."""
    last: tuple[int, int]
    """The place of the last: its urgency, and its place in the line."""


class _Served(Struct, frozen=True):
    """The jobs of one queue that had their turn now."""

    jobs: list[Looked]
    is_left: bool
    """Not all the turns that were due could be handed out."""


def arrive() -> Op[Arrived]:
    """Take note of new jobs of tenants: of each tenant some, however many another one has."""
    found = yield Statement("arrivals", {"limit": TENANTS_MAX})
    if not found:
        return NOBODY
    most = ARRIVALS_MAX // len(found)
    lines = [(row["queue"], row["tenant"]) for row in found]
    taken = yield Statement(
        "take_arrivals", {"limit": most}, batch=Batch(("queue", "tenant"), lines)
    )
    taken_each = Counter((row["queue"], row["tenant"]) for row in taken)
    more = len(found) == TENANTS_MAX or most in taken_each.values()
    return Arrived(frozenset(row["job_id"] for row in taken), more)


def fair(seen: Sequence[Looked], gone: Collection[int], free: Sequence[Looked]) -> Op[Fair]:
    """Put free jobs of tenants in line, and hand out turns.

    ``seen`` are all jobs of this round, ``gone`` the ids of those that there are no longer.
    """
    of_tenants = {job.id: job for job in (*seen, *free) if job.tenant is not None}
    if not of_tenants and not gone:
        return Fair(list(free), False)
    passed, queues = yield from _sort(of_tenants, gone, {job.id for job in free})
    opened = [job for job in free if job.tenant is None or job.id in passed]
    found = yield Statement("fair_queues", {"queues": sorted(queues)})
    if not found:
        return Fair(opened, False)
    fleet = yield from _fleet()
    left: list[str] = []
    room = MOST_READY
    for number, row in enumerate(found):
        served = _Served([], True)
        if room and number < QUEUES_MAX:
            lines = _Lines(*(row[name] for name in _Lines.__struct_fields__))
            served = yield from _serve(lines, slots_for(lines.queue, fleet), room)
        opened += served.jobs
        room -= len(served.jobs)
        left += [row["queue"]] if served.is_left else []
    if left:
        yield Statement("look_again", {"queues": left})
    return Fair(opened, bool(left))


def look_again(let_go: Iterable[Looked], let_in: Collection[int]) -> Op[bool]:
    """See to it that who had his turn and waits at a gate does not stop others.

    Tells whether there is anything to look at.
    """
    queues = {job.queue for job in let_go if job.tenant is not None and job.id not in let_in}
    return bool(queues and (yield Statement("look_again", {"queues": sorted(queues)})))


def _sort(
    jobs: dict[int, Looked], gone: Collection[int], free: Collection[int]
) -> Op[tuple[set[int], set[str]]]:
    """Put jobs where they belong; return those that had their turn, and all queues concerned."""
    ids = sorted({*jobs, *gone})
    rows = yield Statement("tenant_rows", {"ids": ids})
    queues = {job.queue for job in jobs.values()} | {row["queue"] for row in rows}
    in_line = {row["job_id"]: row for row in rows if row["token"] is None}
    let_go = {row["job_id"]: row for row in rows if row["token"] is not None}
    passed = {id for id, row in let_go.items() if id in jobs and _counts(jobs[id], row)}
    stay = {id for id, row in in_line.items() if id in jobs and _waits(jobs[id], row)}
    yield from _forget(in_line.keys() - stay, let_go.keys() - passed)
    # A job in the queue that has no row was given back or taken back, or moved.
    yield from _note_let_go(
        [job for job in jobs.values() if job.state is State.QUEUED and job.id not in passed]
    )
    fresh = [id for id in jobs if id in free and id not in passed and id not in stay]
    if fresh:
        joining = [jobs[id] for id in sorted(fresh)]
        given = [(job.id, job.queue, job.tenant, -job.priority) for job in joining]
        columns = ("job_id", "queue", "tenant", "urgency")
        yield Statement("join_lines", batch=Batch(columns, given))
    return passed, queues


def _counts(job: Looked, row: Row) -> bool:
    """Tell whether the job had its turn and has not started."""
    waits = job.state is State.QUEUED or job.state is State.BLOCKED
    return waits and bool(row["token"] == job.token and row["queue"] == job.queue)


def _waits(job: Looked, row: Row) -> bool:
    """Tell whether the job stands in the right line."""
    place = (row["queue"], row["urgency"])
    return job.state is State.BLOCKED and place == (job.queue, -job.priority)


def _forget(left: Collection[int], ended: Collection[int]) -> Op[None]:
    if left:
        yield Statement("leave_lines", {"ids": sorted(left)})
    if ended:
        yield Statement("forget_let_go", {"ids": sorted(ended)})


def _note_let_go(jobs: Sequence[Looked], queue: str | None = None) -> Op[list[int]]:
    """Note that jobs have had their turn; return the places of the notes."""
    if not jobs:
        return []
    rows = [(job.id, queue or job.queue, job.tenant, job.token) for job in jobs]
    columns = ("job_id", "queue", "tenant", "token")
    return [row["place"] for row in (yield Statement("note_let_go", batch=Batch(columns, rows)))]


def _fleet() -> Op[Workers]:
    found = yield Statement("fleet")
    return [(msgspec.json.decode(row["queues"], type=list[str]), row["slots"]) for row in found]


def _serve(lines: _Lines, slots: int, room: int) -> Op[_Served]:
    """Hand out the turns that are due in one queue, at most ``room``."""
    held = yield Statement("count_let_go", {"queue": lines.queue, "first": lines.first})
    ready = sum(row["n"] for row in held if row["state"] == State.QUEUED)
    at_gates = Counter({row["tenant"]: row["n"] for row in held if row["state"] == State.BLOCKED})
    wanted = min(ready_jobs(slots) - ready, MOST_AT_GATES - at_gates.total())
    n = min(wanted, room)
    if n <= 0:
        return _Served([], False)
    limit = n + len(at_gates)
    asked = {"queue": lines.queue, "low": lines.low, "limit": limit}
    found = yield Statement("next_tenants", asked)
    waiting = {row["name"]: _line(row, ready_jobs(slots) - at_gates[row["name"]]) for row in found}
    chosen = turns(list(waiting.values()), n, lines.clock)
    heads = yield from _take(lines.queue, Counter(turn.tenant for turn in chosen))
    jobs, tags, clock = _called(chosen, waiting, heads, lines.clock)
    noted = [(lines.queue, name, tags[name], *head.last) for name, head in sorted(heads.items())]
    if noted:
        yield Statement("note_turns", batch=Batch(TURN_COLUMNS, noted))
    places = yield from _note_let_go(jobs, lines.queue)
    beyond = [found[-1]["tag"]] if len(found) == limit else []
    params = {
        "queue": lines.queue,
        "clock": clock,
        "low": min([clock, *tags.values(), *beyond]),
        "first": min([*places, *(row["first"] for row in held)], default=lines.first),
    }
    yield Statement("note_clock", params)
    return _Served(jobs, len(jobs) < len(chosen) or (n < wanted and len(chosen) == n))


def _line(row: Row, most: int) -> Line:
    return Line(row["name"], row["weight"], row["tag"], min(row["waiting"], most))


def _called(
    chosen: Sequence[Turn], waiting: Mapping[str, Line], heads: Mapping[str, _Heads], clock: int
) -> tuple[list[Looked], dict[str, int], int]:
    """Return the jobs in the order of their turns, the tags of all tenants, and the new clock."""
    left = {name: iter(head.jobs) for name, head in heads.items()}
    tags = {name: line.tag for name, line in waiting.items()}
    jobs: list[Looked] = []
    for turn in chosen:
        job = next(left[turn.tenant], None) if turn.tenant in left else None
        if job is not None:  # one that ended meanwhile uses up no turn
            jobs.append(job)
            tags[turn.tenant] = next_tag(turn.start, waiting[turn.tenant].weight)
            clock = max(clock, turn.start)
    return jobs, tags, clock


def _take(queue: str, wanted: Mapping[str, int]) -> Op[dict[str, _Heads]]:
    """Take so many jobs out of the line of each tenant."""
    alike: dict[int, list[str]] = defaultdict(list)
    for tenant, n in wanted.items():
        alike[n].append(tenant)
    first: list[Row] = []
    for n, tenants in sorted(alike.items()):
        asked = {"queue": queue, "tenants": tenants, "limit": n}
        first += yield Statement("heads", asked)
    ids = [row["id"] for row in first]
    jobs = {job.id: job for job in (yield from look_at(ids)) if job.state is State.BLOCKED}
    heads: dict[str, _Heads] = {}
    for row in first:
        before = heads[row["tenant"]].jobs if row["tenant"] in heads else []
        job = jobs.get(row["id"])
        place = row["urgency"], row["place"]
        heads[row["tenant"]] = _Heads(before if job is None else [*before, job], place)
    yield from _forget(ids, ())
    return heads
