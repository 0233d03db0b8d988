"""Which jobs are meant: the terms that must all hold, as the store judges them."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from jobpipe.model.state import State

LEAST, MOST = -(2**62), 2**62
"""Ends of a span that is open there."""


class Term(Struct, frozen=True, kw_only=True):
    """One condition on a job: it holds when any of its values does."""

    word: str
    """What is looked at: a column by its name in a query, ``args`` or ``meta``."""
    path: tuple[str, ...] = ()
    """Where in ``args`` or ``meta``: a name for each level."""
    values: tuple[str, ...] = ()
    """Exactly one of these texts; of ``error`` a part of its type or its message."""
    starts: tuple[str, ...] = ()
    """Or a text that begins like one of these."""
    lows: tuple[int, ...] = ()
    """Or a number from a low to the high beside it, both included; times in microseconds."""
    highs: tuple[int, ...] = ()
    negated: bool = False


class Filter(Struct, frozen=True, kw_only=True):
    """Which jobs are meant; without terms it is all."""

    terms: tuple[Term, ...] = ()
    before: int | None = None
    """Only ids below this one: the last id of the page before."""

    def params(self, as_of: int | None = None) -> dict[str, str | int | None]:
        """Return what the store judges by; ages count up to ``as_of``, or up to now."""
        return {"terms": msgspec.json.encode(self.terms).decode(), "as_of": as_of}

    @property
    def states(self) -> frozenset[State] | None:
        """The states that a job may be in; None: any."""
        found: frozenset[State] | None = None
        for term in self._positive("state"):
            named = frozenset(map(State, term.values))
            found = named if found is None else found & named
        return found

    @property
    def has_only_states(self) -> bool:
        """Tell whether nothing but the state matters."""
        return all(term.word == "state" and not term.negated for term in self.terms)

    @property
    def ids(self) -> tuple[int, int]:
        """The lowest and the highest id that a job may have."""
        return self._bounds("id")

    @property
    def created_after(self) -> int | None:
        """The earliest time at which a job may have been created; None: any."""
        low = self._bounds("created")[0]
        return None if low == LEAST else low

    def _bounds(self, word: str) -> tuple[int, int]:
        terms = self._positive(word)
        low = max((min(term.lows) for term in terms), default=LEAST)
        return low, min((max(term.highs) for term in terms), default=MOST)

    def _positive(self, word: str) -> list[Term]:
        return [term for term in self.terms if term.word == word and not term.negated]
