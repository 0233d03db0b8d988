"""What a round knows of gates and of the jobs at them: read in bulk, changed here, written once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from jobpipe.model.gate import (
    ConcurrencyTerms,
    GateKind,
    GateName,
    GroupTerms,
    RateTerms,
    Terms,
)
from jobpipe.policy import gates as policy
from jobpipe.policy.gates import Gate, Hold, Room
from jobpipe.store.ops.look import GATE_KINDS, Entry, Looked, looked
from jobpipe.store.port import Batch, Op, Row, Statement

ORDER = {kind: number for number, kind in enumerate(GateKind)}
TERMS: dict[GateKind, type[Terms]] = {
    GateKind.GROUP: GroupTerms,
    GateKind.CONCURRENCY: ConcurrencyTerms,
    GateKind.RATE: RateTerms,
}


class Standing(Struct):
    """A gate, and what the round does with it."""

    name: GateName
    facts: Gate
    now: int
    terms: str | None
    terms_of: int
    override: str | None
    is_made: bool
    next_at: int | None
    fail_to: int | None
    last: int | None
    """The place at the end of its line, as it was stored; None: nobody waited."""
    was: tuple[int | None, int, int | None]
    room: int = 0
    has_failed: bool = False
    is_served: bool = False
    """Whoever may pass has been let through."""
    is_left: bool = False
    """Jobs are left that might pass."""

    def judge(self) -> Room:
        """Find out how many more it lets through."""
        found = policy.room(self.facts, self.now)
        self.room = 0 if self.fail_to is not None else found.n
        return found

    def take(self, entry: Entry, token: int) -> None:
        """Let a job through."""
        self.count(entry, token)
        self.room -= 1

    def count(self, entry: Entry, token: int) -> None:
        """Note that a job was let through and has not started."""
        entry.token, entry.line = token, None
        self.facts.hold.queued += 1
        self.facts.owed += 1
        self.facts.full_at = policy.let_in(self.facts, self.now)

    def has_terms(self, terms: Terms | None) -> None:
        """Take over what it counts by from now on."""
        self.facts.terms = terms
        self.facts.full_at = policy.within(terms, self.facts.full_at, self.now)

    def settle(self, entry: Entry, job: Looked) -> None:
        """Note that a job which was let through does not count any more; if it has started, its
        token is taken."""
        facts = self.facts
        started_at = job.started_at if entry.token != job.token else None
        if isinstance(facts.terms, RateTerms) and started_at is not None:
            # the store's clock, but read by another statement, which may have been a later one
            facts.full_at = policy.taken(facts.terms, facts.full_at, min(self.now, started_at))
        facts.owed -= 1
        entry.token = None

    @property
    def state(self) -> tuple[int | None, int, int | None]:
        return self.next_at, self.facts.full_at, self.fail_to


class Head(Struct, frozen=True):
    """A job in the line of a gate."""

    at: tuple[int, int, int]
    """Where it stood when the line was read: lines are ordered by that."""
    job: Looked
    entry: Entry


class Book:
    """The gates and entries of one round."""

    def __init__(self) -> None:
        self.entries: dict[int, list[Entry]] = {}
        self.gates: dict[GateName, Standing] = {}
        self._unwritten: dict[GateName, dict[int, Looked]] = defaultdict(dict)
        """Who came to a line in this round, which the store does not know yet."""

    def add_jobs(self, jobs: Iterable[Looked]) -> Op[None]:
        """Take over what jobs wish that are not known yet, and read the gates that they name."""
        names: set[GateName] = set()
        for job in jobs:
            if job.id not in self.entries:
                self.entries[job.id] = sorted(job.gates, key=_in_order)
                names.update([each.name for each in job.gates])
        yield from self.read_gates(names)

    def read_gates(self, names: Iterable[GateName]) -> Op[None]:
        """Read gates that are not known yet."""
        fresh = sorted(set(names).difference(self.gates))
        if fresh:
            rows = [(name.kind.value, name.key) for name in fresh]
            for row in (yield Statement("read_gates", batch=Batch(("kind", "key"), rows))):
                gate = _standing(row)
                gate.judge()
                self.gates[gate.name] = gate

    def make_gates(self, jobs: Iterable[Looked]) -> Op[None]:
        """See to it that there is each gate that the jobs name, with the terms of the newest."""
        newest: dict[GateName, Entry] = {}
        for job in jobs:
            for entry in self.entries[job.id]:
                if entry.name not in newest or newest[entry.name].job_id < job.id:
                    newest[entry.name] = entry
        made = []
        for name, entry in newest.items():
            gate = self.gates[name]
            is_news = entry.terms != gate.terms and entry.job_id > gate.terms_of
            if is_news or not gate.is_made:
                gate.terms, gate.terms_of, gate.is_made = entry.terms, entry.job_id, True
                text = gate.override or gate.terms
                gate.has_terms(terms_of(name.kind, text))
                gate.judge()
                made.append((name.kind.value, name.key, gate.terms, gate.terms_of))
        if made:
            columns = ("kind", "key", "terms", "terms_of")
            yield Statement("make_gates", batch=Batch(columns, sorted(made)))

    def join(self, job: Looked, entry: Entry) -> None:
        """Put a job into the line of a gate."""
        entry.line = 0 if entry.name.kind is GateKind.GROUP else -job.priority
        self._unwritten[entry.name][job.id] = job

    def heads(self, names: Collection[GateName], most: int) -> Op[dict[GateName, list[Head]]]:
        """Return the first of the lines, so many of each at least, if there are as many."""
        stored: dict[GateName, list[Looked]] = {name: [] for name in names}
        asked = [(n.kind.value, n.key) for n in sorted(names) if self.gates[n].last is not None]
        if asked:
            batch = Batch(("kind", "key"), asked)
            rows_of: dict[tuple[str, str], list[Row]] = defaultdict(list)
            for row in (yield Statement("line_heads", {"most": most}, batch=batch)):
                rows_of[row["gate_kind"], row["gate_key"]].append(row)
            for (kind, key), rows in rows_of.items():
                stored[GateName(GATE_KINDS[kind], key)] = looked(rows)
            yield from self.add_jobs(job for jobs in stored.values() for job in jobs)
        found: dict[GateName, list[Head]] = {}
        for name, jobs in stored.items():
            line = {job.id: job for job in jobs} | self._unwritten[name]
            heads = [_head(job, self.entry(job.id, name)) for job in line.values()]
            ordered = sorted(heads, key=attrgetter("at"))
            if len(jobs) == most:  # others in the store may stand before who is not stored yet
                ids = {job.id for job in jobs}
                while ordered[-1].job.id not in ids:
                    ordered.pop()
            found[name] = ordered
        return found

    def entry(self, id: int, name: GateName) -> Entry:
        return next(each for each in self.entries[id] if each.name == name)

    def write_jobs(self) -> Op[None]:
        """Write where jobs stand now."""
        changed = [e for entries in self.entries.values() for e in entries if e.state != e.was]
        if changed:
            columns = ("job_id", "kind", "key", "place", "line", "token")
            rows = [(e.job_id, e.name.kind.value, e.name.key, *e.state) for e in changed]
            yield Statement("note_gate_jobs", batch=Batch(columns, sorted(rows, key=_key)))
        waiting = [
            (each.job_id, str(each.name))
            for each in changed
            if each.line is not None and each.was[1] is None
        ]
        if waiting:
            yield Statement("note_blocked", batch=Batch(("id", "gate"), sorted(waiting)))
        for each in changed:
            each.was = each.state
        for name, jobs in self._unwritten.items():
            places = [self.entry(id, name) for id in jobs]
            ends = [each.place for each in places if each.line is not None]
            if ends:
                gate = self.gates[name]
                gate.last = max(*ends, gate.last or 0)
        self._unwritten.clear()

    def write_gates(self) -> Op[bool]:
        """Write what became of gates; tell whether there was anything to write."""
        changed = [gate for gate in self.gates.values() if gate.is_made and gate.state != gate.was]
        if changed:
            columns = ("kind", "key", "next_at", "full_at", "fail_to")
            rows = [(g.name.kind.value, g.name.key, *g.state) for g in changed]
            yield Statement("note_gates", batch=Batch(columns, sorted(rows, key=_key)))
        return bool(changed)


def terms_of(kind: GateKind, text: str | None) -> Terms | None:
    """Return what a JSON text says of a gate."""
    return None if text is None else msgspec.json.decode(text, type=TERMS[kind])


def _head(job: Looked, entry: Entry) -> Head:
    return Head((entry.line or 0, entry.place, job.id), job, entry)


def _key(row: Sequence[Any]) -> tuple[Any, Any, Any]:
    return row[0], row[1], row[2] or 0


def _in_order(entry: Entry) -> tuple[int, str]:
    """Return what the gates of a job are ordered by: so it passes them."""
    return ORDER[entry.name.kind], entry.name.key


def _standing(row: Row) -> Standing:
    name, now = GateName(GATE_KINDS[row["kind"]], row["key"]), row["now"]
    until = row["paused_until"]
    terms = terms_of(name.kind, row["override"] or row["terms"])
    facts = Gate(
        kind=name.kind,
        terms=terms,
        hold=Hold(row["queued"], row["running"], row["waiting"], row["failed"]),
        is_paused=row["paused_at"] is not None and (until is None or until > now),
        paused_until=until,
        shut_until=row["shut_until"],
        full_at=policy.within(terms, row["full_at"] or 0, now),
        owed=row["owed"],
    )
    return Standing(
        name=name,
        facts=facts,
        now=now,
        terms=row["terms"],
        terms_of=row["terms_of"] or 0,
        override=row["override"],
        is_made=bool(row["is_made"]),
        next_at=row["next_at"],
        fail_to=row["fail_to"],
        last=row["last"],
        was=(row["next_at"], row["full_at"] or 0, row["fail_to"]),
    )
