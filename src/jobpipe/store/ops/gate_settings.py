"""What operators set of gates while jobs wait at them: terms in place of the jobs' own, pauses."""

from __future__ import annotations

from msgspec import Struct

from jobpipe.model.change import Change
from jobpipe.model.gate import GateName
from jobpipe.model.state import State
from jobpipe.store.ops.rounds import await_round
from jobpipe.store.port import Mode, Op, Row, Statement, operation

COUNT_MAX = 10_000
"""Jobs at a gate are counted up to here."""


class GateRecord(Struct, frozen=True, kw_only=True):
    """A gate as it stands."""

    kind: str
    """Of ``GateKind``; or ``task``, where the key is the name of a task that is paused."""
    key: str
    terms: str | None = None
    """What the newest job says of it, as JSON."""
    override: str | None = None
    """What an operator has set in place of that, as JSON."""
    held: int = 0
    """Jobs that it has let through and that still count, up to a bound."""
    waiting: int = 0
    """Jobs in its line, up to a bound."""
    paused_at: int | None = None
    """None also when a pause has come to its end."""
    paused_reason: str | None = None
    paused_by: str | None = None
    paused_until: int | None = None
    shut_until: int | None = None
    """A job asked for this rest of its key."""
    next_at: int | None = None
    """When it is looked at next, if by time alone."""
    full_at: int = 0


@operation(Mode.READ)
def list_gates(start: tuple[str, str], limit: int) -> Op[list[GateRecord]]:
    """List gates by kind and key, from the one named ``start`` on."""
    params = {"kind": start[0], "key": start[1], "limit": limit, "bound": COUNT_MAX}
    return [_record(row) for row in (yield Statement("list_gates", params))]


def gate(kind: str, key: str) -> Op[GateRecord | None]:
    """Read one gate; None when nobody has named it and nothing is set of it."""
    found = yield from list_gates((kind, key), 1).start()
    return found[0] if found and (found[0].kind, found[0].key) == (kind, key) else None


def hold_gate(gate: GateName) -> Op[GateRecord]:
    """Lock what is known of a gate; returns it as it stands, without counts.

    A round that has read it before the change that follows would write over that.
    """
    yield from await_round()
    found = yield Statement("lock_gate", {"kind": gate.kind, "key": gate.key})
    return _record(found[0]) if found else GateRecord(kind=gate.kind, key=gate.key)


@operation(Mode.ONE)
def limit_gate(gate: GateName, override: str | None) -> Op[None]:
    """Set terms in place of those that jobs name; None: theirs count again."""
    params = {"kind": gate.kind, "key": gate.key, "override": override}
    yield Statement("limit_gate", params)


@operation(Mode.TRANSACTION)
def pause_gate(
    gate: GateName, reason: str | None, by: str | None, until: int | None
) -> Op[list[Change]]:
    """Let nobody through until that time, or until it is resumed.

    Returns those that it had let through and nobody had started: they wait at it again.
    """
    name = {"kind": gate.kind, "key": gate.key}
    yield Statement("pause_gate", {**name, "reason": reason, "by": by, "until": until})
    found = yield Statement("recall", name)
    return [Change(row["id"], State(row["state"]), row["queue"]) for row in found]


@operation(Mode.ONE)
def resume_gate(gate: GateName) -> Op[None]:
    """Let jobs through again."""
    yield Statement("resume_gate", {"kind": gate.kind, "key": gate.key})


def _record(row: Row) -> GateRecord:
    until = row["paused_until"]
    pause = {name: row[name] for name in ("paused_at", "paused_reason", "paused_by")}
    if until is not None and until <= row["now"]:
        pause, until = {}, None
    shut = row["shut_until"]
    return GateRecord(
        kind=row["kind"],
        key=row["key"],
        terms=row["terms"],
        override=row["override"],
        held=row["held"],
        waiting=row["waiting"],
        paused_until=until,
        shut_until=shut if shut is not None and shut > row["now"] else None,
        next_at=row["next_at"],
        full_at=row["full_at"],
        **pause,
    )
