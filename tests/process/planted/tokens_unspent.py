"""A rate forgets how many jobs it has let in."""

from __future__ import annotations

from jobpipe.model.gate import RateTerms
from jobpipe.policy import gates


def plant() -> None:
    def unspent(terms: RateTerms, full_at: int, now: int, tokens: int) -> int:
        return full_at

    gates.taken = unspent
