"""A rate lets in whoever comes, however many came before."""

from __future__ import annotations

from jobpipe.model.gate import RateTerms
from jobpipe.policy import gates
from jobpipe.policy.gates import UNBOUNDED, Gate, Room


def plant() -> None:
    room = gates.room

    def room_always(gate: Gate, now: int) -> Room:
        return Room(UNBOUNDED) if isinstance(gate.terms, RateTerms) else room(gate, now)

    gates.room = room_always
