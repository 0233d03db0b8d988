"""What a blocked job waits for: a gate, its tenant's turn, other jobs. Reads only, all bounded."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from jobpipe.model.gate import GateName
from jobpipe.model.state import State
from jobpipe.policy.gates import Gate, Room, room
from jobpipe.store.ops.gate_book import Book
from jobpipe.store.ops.look import Entry, look_at
from jobpipe.store.port import Op, Rows, Statement

NAMED_MAX = 10
"""Most jobs that are named as holders of a gate, or as what a job comes after."""
BEFORE_MAX = 10_000
"""The jobs before one are counted up to here."""


class Other(Struct, frozen=True):
    """A job that stands in the way of another one."""

    id: int
    state: State | None
    """None: it is a flow."""
    since: int | None


class Pause(Struct, frozen=True):
    """Who paused a key, when and why."""

    at: int | None
    reason: str | None
    by: str | None


class AtGate(Struct, frozen=True):
    """A gate at which a job waits."""

    name: GateName
    facts: Gate
    room: Room
    holders: Sequence[Other]
    before: int
    """Jobs before it in the line, up to a bound."""
    pause: Pause | None


class Turn(Struct, frozen=True):
    """The line of its tenant in which a job waits."""

    queue: str
    tenant: str
    before: int
    at_gates: Sequence[Other]
    """Jobs of the tenant that had their turn and wait at gates: while they are many, no other has
    one."""
    gates: Sequence[str]
    """Those gates, the first first."""


def at_gate(id: int) -> Op[AtGate | None]:
    """Return the gate in whose line a job waits, or None."""
    book = Book()
    entry = yield from _waits_at(id)
    if entry is None:
        return None
    yield from book.read_gates([entry.name])
    name = {"kind": entry.name.kind.value, "key": entry.name.key}
    holders = yield Statement("gate_holders", {**name, "limit": NAMED_MAX})
    before = yield from _before(entry.name, entry.line, entry.place)
    paused = yield Statement("gate_pause", name)
    gate = book.gates[entry.name]
    return AtGate(
        entry.name,
        gate.facts,
        room(gate.facts, gate.now),
        _others(holders),
        before,
        Pause(paused[0]["paused_at"], paused[0]["paused_reason"], paused[0]["paused_by"])
        if paused and gate.facts.is_paused
        else None,
    )


def turn(id: int) -> Op[Turn | None]:
    """Return the line of its tenant in which a job waits, or None."""
    found = yield Statement("turn_before", {"id": id, "bound": BEFORE_MAX})
    if not found:
        return None
    queue, tenant, before = found[0]["queue"], found[0]["tenant"], found[0]["n"]
    asked = {"queue": queue, "tenant": tenant, "limit": NAMED_MAX}
    ahead = yield Statement("at_gates", asked)
    gates = dict.fromkeys(row["blocked_on"] for row in ahead if row["blocked_on"] is not None)
    return Turn(queue, tenant, before, _others(ahead), list(gates))


def position(id: int) -> Op[int | None]:
    """Return the place of a job in the line in which it waits, from 1, up to a bound.

    That is the line of a gate or of its tenant; None: it waits in none.
    """
    entry = yield from _waits_at(id)
    if entry is not None:
        return 1 + (yield from _before(entry.name, entry.line, entry.place))
    found = yield Statement("turn_before", {"id": id, "bound": BEFORE_MAX})
    return 1 + found[0]["n"] if found else None


def parents(id: int) -> Op[list[Other]]:
    """Return what a job comes after and what has not ended, up to a bound."""
    return _others((yield Statement("open_parents", {"id": id, "limit": NAMED_MAX})))


def _waits_at(id: int) -> Op[Entry | None]:
    jobs = yield from look_at([id])
    return next((each for job in jobs for each in job.gates if each.line is not None), None)


def _before(name: GateName, line: int | None, place: int) -> Op[int]:
    asked = {"kind": name.kind.value, "key": name.key, "line": line, "place": place}
    n: int = (yield Statement("line_before", {**asked, "bound": BEFORE_MAX}))[0]["n"]
    return n


def _others(found: Rows) -> list[Other]:
    others = [
        Other(row["id"], None if row["state"] is None else State(row["state"]), row["since"])
        for row in found
    ]
    return sorted(others, key=lambda other: other.id)
