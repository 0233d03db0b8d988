"""When a gate opens: judgements over facts, by the store's clock, in microseconds.

A rate follows the generic cell rate algorithm: ``full_at`` is when all tokens of the burst are
there again, and each token taken moves it on by the time in which one comes. A job is let in when
there is a token for it beside those of all that were let in before and have not started; it takes
its token when it starts, however late that is. So within any span no more jobs start than tokens
come in it, plus the burst. Whoever is let in with the last token may move ``full_at`` to now: it
was full, and tells from then on for how long nobody has taken one.
"""

from __future__ import annotations

from msgspec import Struct, field

from jobpipe.model.gate import ConcurrencyTerms, GateKind, GroupTerms, RateTerms, Terms

UNCLAIMED_US = 10_000_000
"""How long a queued job may keep what others wait for without being claimed."""

LOOK_US = 10_000
"""Shortest time between two looks whether jobs have started that keep all tokens of a burst."""
QUIET_US = 1_000_000
"""How long jobs may keep all tokens of a burst until nobody looks any more whether they start."""


class Hold(Struct):
    """Jobs that a gate has let through, by what became of them."""

    queued: int = 0
    running: int = 0
    waiting: int = 0
    """Neither: they are to come back, or have not passed all their gates."""
    failed: int = 0


class Gate(Struct):
    """A gate as the round knows it by now: whom it lets through it notes here, at little cost."""

    kind: GateKind
    terms: Terms | None
    """None: it counts nothing."""
    hold: Hold = field(default_factory=Hold)
    is_paused: bool = False
    paused_until: int | None = None
    shut_until: int | None = None
    full_at: int = 0
    owed: int = 0
    """Of a rate: tokens that jobs it has let through are still to take."""


class Room(Struct, frozen=True):
    """How many jobs a gate lets through now."""

    n: int
    opens_at: int | None = None
    """When it may let one through without anybody leaving it; None: not by time alone."""
    look_at: int | None = None
    """When to look again, as it may open by what others do without a word."""


UNBOUNDED = 1_000_000_000
SHUT = Room(0)


def room(gate: Gate, now: int) -> Room:
    """Judge how many more jobs a gate lets through."""
    if gate.is_paused:
        return Room(0, gate.paused_until)
    if gate.shut_until is not None and gate.shut_until > now:
        return Room(0, gate.shut_until)
    hold = gate.hold
    match gate.terms:
        case None:
            return Room(UNBOUNDED)
        case ConcurrencyTerms(n):
            return Room(max(0, n - hold.queued - hold.running))
        case RateTerms() as terms:
            free = available(terms, gate.full_at, now) - gate.owed
            if free > 0:
                return Room(free)
            if gate.owed < terms.burst:
                return Room(0, token_at(terms, gate.full_at, gate.owed + 1))
            return Room(0, look_at=when_taken(terms, gate.full_at, now))
        case GroupTerms(on_failure):
            stands = hold.queued + hold.running + hold.waiting
            return Room(0 if stands or (hold.failed and on_failure == "block") else 1)


def available(terms: RateTerms, full_at: int, now: int) -> int:
    """Return how many tokens are there."""
    missing = max(0, full_at - now) * terms.n
    return max(0, (terms.burst * terms.per_us - missing) // terms.per_us)


def taken(terms: RateTerms, full_at: int, at: int) -> int:
    """Return ``full_at`` after a token was taken; rounded so that the rate is never exceeded."""
    return max(full_at, at) + -(-terms.per_us // terms.n)


def within(terms: Terms | None, full_at: int, now: int) -> int:
    """Return ``full_at`` as these terms allow: those that made it may have been slower."""
    if not isinstance(terms, RateTerms):
        return full_at
    return min(full_at, now + terms.burst * -(-terms.per_us // terms.n))


def token_at(terms: RateTerms, full_at: int, tokens: int) -> int:
    """Return when so many tokens are there, of the burst at most."""
    return full_at - (terms.burst - tokens) * terms.per_us // terms.n


def let_in(gate: Gate, now: int) -> int:
    """Return ``full_at`` after one more was let in: with the last token of the burst it tells since
    when nobody has taken one."""
    is_last = isinstance(gate.terms, RateTerms) and gate.owed >= gate.terms.burst
    return max(gate.full_at, now) if is_last else gate.full_at


def when_taken(terms: RateTerms, full_at: int, now: int) -> int | None:
    """Return when to look whether jobs have started that keep all tokens, as they start unheard.

    Half of the burst comes until then, or the one token: nothing that it could hold is lost. None:
    that none of them starts has lasted for so long that a start is heard of soon enough by whoever
    looks what there is to do.
    """
    if now - full_at >= QUIET_US:
        return None
    return now + max(LOOK_US, max(1, terms.burst // 2) * terms.per_us // terms.n)


def usual_burst(n: int, per_us: int) -> int:
    """Return the burst of a rate that names none: what comes in a tenth of a second.

    One at a time where that is less than one and a second or more lies between two; otherwise two
    at least, so that a late look loses nothing of the rate.
    """
    if per_us >= n * 1_000_000:
        return 1
    return max(2, -(-n * 100_000 // per_us))
