"""The gates that a task or one request names: how many at a time, how often, in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import msgspec

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.model.gate import (
    ConcurrencyTerms,
    GateKind,
    GroupTerms,
    OnFailure,
    RateTerms,
    Terms,
    Wish,
)
from jobpipe.policy.duration import UNITS_US, parse_span
from jobpipe.policy.gates import usual_burst
from jobpipe.tasks.codec import show
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.template import Template, parse

MAX_N = 1_000_000
"""Most jobs at a time, in a span of time, or in a burst."""
MAX_SECONDS = 100 * 365 * 86400.0
RATE = re.compile(r"([0-9]{1,7})/(\S{1,30})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """So many jobs of a key at a time, over all processes; raises InvalidArguments."""

    n: int
    """Jobs that are queued or run at a time, 1 to 1,000,000."""
    key: str | None = None
    """With ``{name}`` for an argument; default: the name of the task."""

    def __post_init__(self) -> None:
        _check_whole("concurrency", "n", self.n)
        _check_key("concurrency", self.key)

    @property
    def terms(self) -> Terms:
        return ConcurrencyTerms(self.n)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts of a key in a span of time, over all processes; raises InvalidArguments."""

    n: int
    """Starts, 1 to 1,000,000."""
    per: float | timedelta = 1.0
    """The span, in seconds unless it is a timedelta."""
    burst: int | None = None
    """How many may start at once after a pause; default: what comes in a tenth of a second."""
    key: str | None = None
    """With ``{name}`` for an argument; default: the name of the task."""

    def __post_init__(self) -> None:
        _check_whole("rate", "n", self.n)
        _span_us(self.per)
        if self.burst is not None:
            _check_whole("rate", "burst", self.burst)
        _check_key("rate", self.key)

    @property
    def terms(self) -> Terms:
        per_us = _span_us(self.per)
        burst = usual_burst(self.n, per_us) if self.burst is None else self.burst
        return RateTerms(self.n, per_us, burst)


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs of a key run one at a time, in the order of their enqueue; raises InvalidArguments."""

    key: str
    """With ``{name}`` for an argument."""
    on_failure: OnFailure = "skip"
    """When a job has failed: ``skip``: the next one's turn; ``block``: the group stands until
    that job is re-run with success or deleted; ``fail``: who waits behind it is cancelled."""

    def __post_init__(self) -> None:
        if not isinstance(self.key, str):
            raise _refusal("group", self.key, "a key such as 'user-{user_id}'")
        if self.on_failure not in ("skip", "block", "fail"):
            raise _refusal("group", self.on_failure, "on_failure 'skip', 'block' or 'fail'")

    @property
    def terms(self) -> Terms:
        return GroupTerms(self.on_failure)


GateOption: TypeAlias = Concurrency | Rate | Group
Gates: TypeAlias = tuple[GateOption, ...]
AnyConcurrency: TypeAlias = int | Concurrency | Sequence[Concurrency] | Literal[False]
AnyRate: TypeAlias = str | Rate | Sequence[Rate] | Literal[False]
AnyGroup: TypeAlias = str | Group | Literal[False]

TENANT_OR_GROUP = (
    "a job has a tenant or a group, not both: fair turns would change the group's order"
)
ALLOWED = {
    GateKind.CONCURRENCY: "a whole number from 1, Concurrency(n, key=...), a list of these, False",
    GateKind.RATE: "'100/m', '1/90s', Rate(n, per=..., burst=..., key=...), a list, or False",
    GateKind.GROUP: "a key such as 'user-{user_id}', Group(key, on_failure=...), or False",
}
CLASSES: Mapping[GateKind, type[GateOption]] = {
    GateKind.CONCURRENCY: Concurrency,
    GateKind.RATE: Rate,
    GateKind.GROUP: Group,
}


def as_gates(kind: GateKind, value: object) -> Gates | None:
    """Return the gates that an option means, None if it says nothing; raises InvalidArguments."""
    if value is None:
        return None
    if value is False:
        return ()
    several = value if isinstance(value, list | tuple) and kind is not GateKind.GROUP else [value]
    return tuple(_as_gate(kind, each) for each in several)


def _as_gate(kind: GateKind, value: object) -> GateOption:
    of = CLASSES[kind]
    if isinstance(value, of):
        return value
    if isinstance(value, Mapping) and value.keys() <= {each.name for each in fields(of)}:
        try:
            return of(**value)
        except InvalidArguments:  # it names what is wrong; it is a TypeError, too
            raise
        except TypeError:
            raise _refusal(kind, value, ALLOWED[kind]) from None
    match kind, value:
        case GateKind.CONCURRENCY, int() if not isinstance(value, bool):
            return Concurrency(value)
        case GateKind.GROUP, str():
            return Group(value)
        case GateKind.RATE, str() if read := parse_rate(value):
            n, per_us = read
            return Rate(n, timedelta(microseconds=per_us))
    raise _refusal(kind, value, ALLOWED[kind])


def parse_rate(text: str) -> tuple[int, int] | None:
    """Return the number and the microseconds of ``100/m`` or ``1/90s``, None if it is no rate."""
    found = RATE.fullmatch(text)
    if found is None:
        return None
    n, per = int(found[1]), found[2]
    try:
        per_us = parse_span(f"1{per}" if per in UNITS_US else per)
    except ValueError:
        return None
    return (n, per_us) if 1 <= n <= MAX_N and per_us else None


def declared_gates(signature: Signature, options: Mapping[GateKind, object]) -> Gates:
    """Check the gates that a task declares; raises ConfigError."""
    gates: list[GateOption] = []
    for kind, value in options.items():
        try:
            gates += as_gates(kind, value) or ()
        except InvalidArguments as error:
            raise ConfigError(f"task {signature.task}: {error}") from None
    seen: dict[tuple[GateKind, str], Terms] = {}
    for gate in gates:
        kind, key = _kind(gate), signature.task if gate.key is None else gate.key
        if gate.key is not None:
            parse(kind, gate.key, signature)
        if seen.setdefault((kind, key), gate.terms) != gate.terms:
            raise ConfigError(_clash(signature.task, kind, key))
    return tuple(gates)


def wishes(
    declared: Gates,
    asked: Mapping[GateKind, Gates | None],
    signature: Signature,
    args: str,
) -> tuple[Wish, ...]:
    """Return what a call with these encoded arguments wishes; raises InvalidArguments.

    What the request asks for of a kind stands in the place of all that the task declares of it.
    """
    made: dict[tuple[GateKind, str], Wish] = {}
    for gate in _wanted(declared, asked):
        wish = _wish(gate, signature, args)
        if made.setdefault((wish.kind, wish.key), wish) != wish:
            raise InvalidArguments(
                _clash(signature.task, wish.kind, wish.key),
                help="Give each a key of its own: Rate(5, per=60, key=...).",
            )
    return tuple(made.values())


def _clash(task: str, kind: GateKind, key: str) -> str:
    return f"task {task}: two limits of the kind {kind} have the key {show(key)}"


def check_given(
    declared: Gates,
    asked: Mapping[GateKind, Gates | None],
    signature: Signature,
    pointers: Sequence[str],
) -> None:
    """Raise InvalidArguments when a key needs an argument that is still to come."""
    for gate in _wanted(declared, asked):
        if gate.key is not None:
            _template(_kind(gate), gate.key, signature).check_given(signature.task, pointers)


def _wanted(declared: Gates, asked: Mapping[GateKind, Gates | None]) -> list[GateOption]:
    """Return the gates of a request: what it asks for of a kind stands for all of that kind."""
    wanted = [gate for gate in declared if asked.get(_kind(gate)) is None]
    return wanted + [gate for gates in asked.values() for gate in gates or ()]


def in_json(gates: Gates | None) -> list[dict[str, Any]] | bool | None:
    """Return asked-for gates as JSON has them."""
    if gates is None:
        return None
    return [
        {
            each.name: value.total_seconds() if isinstance(value, timedelta) else value
            for each in fields(gate)
            if (value := getattr(gate, each.name)) is not None
        }
        for gate in gates
    ] or False


def _wish(gate: GateOption, signature: Signature, args: str) -> Wish:
    kind = _kind(gate)
    key = signature.task
    if gate.key is not None:
        try:
            key = _template(kind, gate.key, signature).render(signature, args)
        except ConfigError as error:
            raise InvalidArguments(str(error)) from None
    return Wish(kind, key, _text(gate))


@lru_cache(maxsize=1024)
def _template(kind: GateKind, key: str, signature: Signature) -> Template:
    return parse(kind, key, signature)


@lru_cache(maxsize=1024)
def _text(gate: GateOption) -> str:
    return msgspec.json.encode(gate.terms).decode()


def _kind(gate: GateOption) -> GateKind:
    return next(kind for kind, of in CLASSES.items() if isinstance(gate, of))


def group_of(wishes: Iterable[Wish]) -> str | None:
    """Return the key of the group among the wishes."""
    return next((wish.key for wish in wishes if wish.kind is GateKind.GROUP), None)


def _check_whole(option: str, name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_N:
        raise _refusal(option, value, f"{name} as a whole number from 1 to {MAX_N}")


def _check_key(option: str, key: object) -> None:
    if key is not None and not isinstance(key, str):
        raise _refusal(option, key, "a key such as 'user-{user_id}'")


def _span_us(value: object) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and 1e-6 <= (span := float(str(seconds))) <= MAX_SECONDS:
        return round(span * 1_000_000)
    raise _refusal("rate", value, "per as seconds from 0.000001 to 100 years, or a timedelta")


def _refusal(option: str, value: object, allowed: str) -> InvalidArguments:
    return InvalidArguments(
        f"option {option}={show(value)} is refused; allowed: {allowed}",
        help="Correct the option that the message names; nothing was stored.",
    )
