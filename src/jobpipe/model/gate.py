"""Gates: what must open before a job may be queued, and what jobs say of them.

A gate has a kind and a key. Jobs that name it wait in its line while it is shut. Spans of time are
microseconds; terms travel and are stored as JSON texts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct

OnFailure: TypeAlias = Literal["skip", "block", "fail"]


class GateKind(StrEnum):
    """What a gate counts, in the order in which a job passes them."""

    GROUP = "group"
    """Jobs that follow one another."""
    CONCURRENCY = "concurrency"
    """Jobs at a time."""
    RATE = "rate"
    """Starts in a span of time."""


class ConcurrencyTerms(Struct, frozen=True, forbid_unknown_fields=True):
    """How many jobs of the key may be queued or running at a time."""

    n: int


class RateTerms(Struct, frozen=True, forbid_unknown_fields=True):
    """How many jobs of the key may start in a span of time, and how many of them at once."""

    n: int
    per_us: int
    burst: int


class GroupTerms(Struct, frozen=True, forbid_unknown_fields=True):
    """What the failure of a job means for those behind it."""

    on_failure: OnFailure = "skip"


Terms: TypeAlias = ConcurrencyTerms | RateTerms | GroupTerms


class Wish(Struct, frozen=True, gc=False):
    """A gate that a job is to pass, and what the job says of it."""

    kind: GateKind
    key: str
    terms: str | None = None
    """As JSON; None: whatever an operator has set, and nothing without that."""


class GateName(Struct, frozen=True, order=True, gc=False):
    """A gate by kind and key."""

    kind: GateKind
    key: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"
