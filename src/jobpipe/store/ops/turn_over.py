"""Write how attempts ended, let in who waited for that, and claim, all in one transaction.

Where jobs wait for those before them this saves a worker two commits, each of which would keep its
slots idle, and whoever is let in comes to a slot without a hint.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from jobpipe.model.job import Claimed, Finish
from jobpipe.store.ops.admit import Admitted, admit
from jobpipe.store.ops.finish import Finished, finish
from jobpipe.store.port import Mode, Op, Operation, operation


class TurnedOver(Struct, frozen=True):
    """What became of the outcomes, and of who waited."""

    finished: list[Finished]
    round: Admitted | None = None
    """None: nobody minds what became of them, or somebody else admits just now."""
    claimed: list[Claimed] | None = None
    """None: nobody claimed. Where the round queued anything, these are the jobs that it claimed."""


@operation(Mode.TRANSACTION)
def turn_over(
    outcomes: Sequence[Finish],
    now_ns: int,
    since: int,
    max_payload: int,
    claim: Operation[list[Claimed]] | None,
    *,
    may_have_more: bool = False,
) -> Op[TurnedOver]:
    """Record the outcomes like ``finish``; if anybody minds them, do one round like ``admit``; and
    the claim, if that let anybody in or there ``may_have_more`` been."""
    finished = yield from finish(outcomes, now_ns).start()
    round_ = None
    if any(end.marked for end in finished):
        round_ = yield from admit(since, max_payload, claim).start()
    claimed = round_.claimed if round_ is not None else None
    if claimed is None and claim is not None and may_have_more:
        claimed = yield from claim.start()
    return TurnedOver(finished, round_, claimed)
