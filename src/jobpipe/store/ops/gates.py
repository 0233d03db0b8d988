"""Gates of concurrency, groups and rates: the last stage of the round that admits.

A blocked job waits in the line of one shut gate, so it never stops those behind it that wish for
other keys. When a gate has room, the first of its line are looked at: who finds all his gates open
is let through them together, who finds another one shut goes to the line of that one. A group is
taken as soon as it is a job's turn, and kept until the job has ended, so its order is never lost.

What a gate has let through is judged by the state of those jobs each time (see ``read_gates``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter

from msgspec import Struct

from jobpipe.model import marks
from jobpipe.model.change import Change
from jobpipe.model.gate import GateKind, GateName, GroupTerms
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.policy.gates import UNCLAIMED_US
from jobpipe.store.ops.gate_book import Book, Head, Standing
from jobpipe.store.ops.look import GATE_KINDS, Entry, Looked
from jobpipe.store.ops.rounds import await_round
from jobpipe.store.port import Batch, Mode, Op, Statement, operation

GATES_MAX = 1_000
"""Most gates that one round looks at because their time has come."""
HEADS_MAX = 1_000
"""Most jobs that one round lets through, and that it looks at in one line."""
PASSES_MAX = 8
"""How often one round looks at the lines of the same gates."""
HELD_US = 50_000
"""When a round looks again at jobs that somebody's open transaction held."""
FIRST = GateName(GateKind.CONCURRENCY, "")
"""Before all gates, as a store orders them."""


class Passed(Struct, frozen=True):
    """What the gates have let through."""

    free: list[Looked]
    """Jobs to let in, in order; those without gates first."""
    ended: tuple[Change, ...]
    """Jobs that were cancelled because one of their group has failed."""
    more: bool
    """Jobs were blocked again: the next round looks at them."""
    next_in_us: int | None
    """When a gate is to be looked at next, 0 or less if there is more to do now."""


def gates(seen: Sequence[Looked], free: Sequence[Looked], gate_in_us: int | None) -> Op[Passed]:
    """Bring free jobs to their gates, and let through what finds them open.

    ``seen`` are all jobs of this round, ``gate_in_us`` is when the time of the first gate comes.
    """
    gated = {job.id: job for job in free if job.marks & marks.GATED}
    known = {job.id: job for job in seen if job.marks & marks.GATED} | gated
    let_through = [job for job in free if job.id not in gated]
    book = Book()
    yield from book.add_jobs(known.values())
    is_due = gate_in_us is not None and gate_in_us <= 0
    due = (yield from _due(book)) if is_due else set()
    _release(book, known)
    let_through += yield from _arrive(book, gated.values())
    ended, unended = yield from _fail_rest(book)
    recalled, unrecalled = yield from _recall(book, due)
    given_up = yield from _give_up(book, due)
    let_through += yield from _serve(book)
    yield from book.write_jobs()
    for gate in book.gates.values():
        gate.next_at = _next_at(gate)
    for name in unended | unrecalled:
        book.gates[name].next_at = book.gates[name].now + HELD_US
    if (yield from book.write_gates()):
        found = yield Statement("next_gate")
        gate_in_us = found[0]["in_us"] if found else None
    return Passed(let_through, tuple(ended), recalled or given_up, gate_in_us)


def _due(book: Book) -> Op[set[GateName]]:
    """Find gates whose time has come."""
    found = yield Statement("due_gates", {"limit": GATES_MAX})
    names = {GateName(GATE_KINDS[row["kind"]], row["key"]) for row in found}
    yield from book.read_gates(names)
    return names


def _release(book: Book, jobs: Mapping[int, Looked]) -> None:
    """Take note of jobs that left gates, and lines."""
    for job in jobs.values():
        for entry in book.entries[job.id]:
            gate = book.gates[entry.name]
            if job.state is not State.BLOCKED:
                entry.line = None
            if entry.token is not None and not _holds(job, gate):
                is_failed = job.state is State.FAILED
                gate.has_failed |= is_failed and gate.facts.terms == GroupTerms("fail")
                gate.settle(entry, job)
            if job.state in FINAL and entry.token is None:
                entry.place = 0
    for gate in book.gates.values():
        gate.judge()


def _holds(job: Looked, gate: Standing) -> bool:
    """Tell whether what the gate has let through still counts."""
    match gate.name.kind:
        case GateKind.CONCURRENCY:
            return job.state is State.QUEUED or job.state is State.RUNNING
        case GateKind.RATE:
            return job.state is State.QUEUED
        case GateKind.GROUP:
            stands = job.state is State.FAILED and gate.facts.terms == GroupTerms("block")
            return stands or job.state not in FINAL


def _arrive(book: Book, jobs: Collection[Looked]) -> Op[list[Looked]]:
    """Put jobs into line; return those that have nothing to wait for."""
    yield from book.make_gates(jobs)
    fresh = [job for job in jobs if all(each.line is None for each in book.entries[job.id])]
    yield from _give_places(book, fresh)
    passed: list[Looked] = []
    for job in jobs:
        entries = book.entries[job.id]
        at = next((each for each in entries if each.line is not None), None)
        at = at or next((each for each in entries if each.token is None), None)
        if at is None:
            passed.append(job)
        else:
            book.join(job, at)
    return passed


def _give_places(book: Book, jobs: Iterable[Looked]) -> Op[None]:
    """Give jobs a place that lost theirs, or that had to wait for their turn elsewhere."""
    placeless = [
        each
        for job in jobs
        for each in book.entries[job.id]
        if each.token is None and (each.place == 0 or job.tenant is not None)
    ]
    if placeless:
        found = yield Statement("reserve_places", {"n": len(placeless)})
        for entry, id in zip(placeless, sorted(row["id"] for row in found), strict=True):
            entry.place = id


def _fail_rest(book: Book) -> Op[tuple[list[Change], set[GateName]]]:
    """Cancel who waits in a group that has failed; returns them, and groups of which some are held
    by somebody's open transaction."""
    failed = [g for g in book.gates.values() if g.has_failed or g.fail_to is not None]
    ended: list[Change] = []
    held: set[GateName] = set()
    if not failed:
        return ended, held
    yield from book.write_jobs()
    for gate in failed:
        if gate.has_failed and gate.last is not None:
            gate.fail_to = gate.last
        if gate.fail_to is None:
            continue
        params = {"kind": gate.name.kind.value, "key": gate.name.key, "place": gate.fail_to}
        rest = yield Statement("line_until", {**params, "limit": HEADS_MAX})
        if rest:
            ids = [row["job_id"] for row in rest]
            reason = Reason.BY_FLOW.value
            found = yield Statement("cancel_blocked", {"ids": sorted(ids), "reason": reason})
            ended += [Change(row["id"], State.CANCELLED, row["queue"]) for row in found]
            if len(found) < len(ids):
                held.add(gate.name)
        else:
            gate.fail_to = None
        gate.judge()
    return ended, held


def _recall(book: Book, due: Collection[GateName]) -> Op[tuple[bool, set[GateName]]]:
    """Block jobs again that the pause of their gate has not reached, as somebody's open transaction
    held them; returns whether there were any, and gates of which some are held still."""
    is_any = False
    held: set[GateName] = set()
    for name in sorted(due):
        facts = book.gates[name].facts
        if facts.is_paused and facts.hold.queued:
            found = yield Statement("recall", {"kind": name.kind.value, "key": name.key})
            is_any |= bool(found)
            if len(found) < facts.hold.queued:
                held.add(name)
    return is_any, held


def _give_up(book: Book, due: Collection[GateName]) -> Op[bool]:
    """Block jobs again that nobody claims, while others wait for what they hold."""
    names = [
        (name.kind.value, name.key)
        for name in sorted(due)
        if name.kind is not GateKind.GROUP and book.gates[name].facts.hold.queued
    ]
    if not names:
        return False
    params = {"unclaimed_us": UNCLAIMED_US, "limit": HEADS_MAX}
    found = yield Statement("stale_holds", params, batch=Batch(("kind", "key"), names))
    if found:
        yield Statement("give_up", {"ids": sorted({row["id"] for row in found})})
    return bool(found)


def _serve(book: Book) -> Op[list[Looked]]:
    """Let through who finds all his gates open."""
    let_through: list[Head] = []
    names = set(book.gates)
    for name in names:
        book.gates[name].is_served = True
    for number in range(PASSES_MAX):
        if number:
            yield from book.write_jobs()
        left: set[GateName] = set()
        for most, alike in _by_room(book, names):
            if len(let_through) >= HEADS_MAX:
                left.update(alike)
                continue
            heads = yield from book.heads(alike, most)
            for name in sorted(heads):
                let_through += _let_through(book, name, heads[name])
                if len(heads[name]) >= most and book.gates[name].room > 0:
                    left.add(name)
        names = left
        if not names or len(let_through) >= HEADS_MAX:
            break
    for name in names:
        book.gates[name].is_left = True
    return [head.job for head in sorted(let_through, key=attrgetter("at"))]


def _by_room(book: Book, names: Collection[GateName]) -> Iterable[tuple[int, list[GateName]]]:
    """Part the gates with room by how many of their lines are to be looked at."""
    alike: dict[int, list[GateName]] = {}
    most_of: dict[int, int] = {}
    for name in sorted(names):
        room = min(HEADS_MAX, book.gates[name].room)
        if room > 0:
            size = room.bit_length()
            alike.setdefault(size, []).append(name)
            most_of[size] = max(room, most_of.get(size, 0))
    for size, some in sorted(alike.items()):
        most = most_of[size]
        step = max(1, HEADS_MAX // most)
        for start in range(0, len(some), step):
            yield most, some[start : start + step]


def _let_through(book: Book, name: GateName, heads: Sequence[Head]) -> list[Head]:
    passed = []
    gate = book.gates[name]
    for head in heads:
        if gate.room <= 0:
            break
        if _passes(book, head.job, head.entry):
            passed.append(head)
    return passed


def _passes(book: Book, job: Looked, at: Entry) -> bool:
    """Let one job through all its gates, or put it into the line of one that is shut."""
    if at.line is None or job.state is not State.BLOCKED:
        at.line = None
        return False
    missing = [each for each in book.entries[job.id] if each.token is None]
    for entry in missing:
        gate = book.gates[entry.name]
        if gate.room <= 0:
            if entry is not at:
                at.line = None
                book.join(job, entry)
            return False
        if entry.name.kind is GateKind.GROUP:
            gate.take(entry, job.token)
    for entry in missing:
        if entry.token is None:
            book.gates[entry.name].take(entry, job.token)
    return True


def _next_at(gate: Standing) -> int | None:
    """Return when a gate is to be looked at though nobody comes or leaves."""
    if gate.fail_to is not None or gate.is_left:
        return 0
    if not gate.is_served and gate.next_at is not None and gate.next_at <= gate.now:
        return gate.next_at
    if gate.last is None:
        return None
    found = gate.judge()
    if found.n:
        return None
    at = min((at for at in (found.opens_at, found.look_at) if at is not None), default=None)
    if not gate.facts.hold.queued or gate.name.kind is GateKind.GROUP:
        return at
    unclaimed_at = gate.now + UNCLAIMED_US
    if at is not None and at <= unclaimed_at:
        return at
    # Each round would move that on, for ever: a sooner time stays.
    is_set = gate.next_at is not None and gate.now < gate.next_at <= unclaimed_at
    return gate.next_at if is_set else unclaimed_at


@operation(Mode.TRANSACTION)
def prune_gates(limit: int, after: GateName = FIRST) -> Op[tuple[int, GateName | None]]:
    """Look at so many gates beyond a name, and forget those that nobody needs.

    Returns how many went, and the name to go on from; None: that was the last.
    """
    yield from await_round()  # a round may just bring a job to a gate that looks idle
    params = {"kind": after.kind.value, "key": after.key, "limit": limit}
    found = yield Statement("gate_keys", params)
    if not found:
        return 0, None
    names = [(row["kind"], row["key"]) for row in found]
    gone = yield Statement("prune_gates", batch=Batch(("kind", "key"), names))
    last = GateName(GATE_KINDS[names[-1][0]], names[-1][1])
    return len(gone), last if len(found) == limit else None
