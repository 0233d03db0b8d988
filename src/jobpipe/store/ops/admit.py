"""Let blocked jobs in: the one place where gates open and what waits for other jobs is let go.

Jobs are looked at because they came to a gate, or left what somebody waits for; a trigger notes
each of them in the transaction in which that happens. One process at a time admits, so that
nothing here races with itself.
"""

from __future__ import annotations

from msgspec import Struct

from jobpipe.model.change import Change
from jobpipe.model.state import State
from jobpipe.store.ops.aside import come_back, not_aside
from jobpipe.store.ops.claim import Queued, moved
from jobpipe.store.ops.look import look_at
from jobpipe.store.port import Mode, Op, Statement, operation

LOOKS_MAX = 1_000
"""Most notes of one round, and most jobs that one round lets in."""


class Admitted(Struct, frozen=True):
    """What one round did."""

    queued: tuple[Queued, ...]
    ended: tuple[Change, ...]
    """Those that ended instead of being let in."""
    is_scheduled: bool
    """Some were let go before their time: they wait for it now."""
    more: bool
    """There is more to look at."""


@operation(Mode.TRANSACTION)
def admit() -> Op[Admitted | None]:
    """Do one round; None: somebody else admits just now."""
    if not (yield Statement("hold_admission")):
        return None
    noted = yield Statement("take_looks", {"limit": LOOKS_MAX})
    back = yield from come_back(LOOKS_MAX)
    looked = yield from look_at({row["job_id"] for row in noted} | back)
    ready = yield from not_aside([job for job in looked if job.state is State.BLOCKED])
    free = [job.id for job in ready]
    found = (yield Statement("admit", {"ids": free})) if free else []
    let_in = moved(found)
    return Admitted(
        tuple(let_in.queued),
        tuple(let_in.ended),
        any(row["state"] == State.SCHEDULED for row in found),
        LOOKS_MAX in (len(noted), len(back)),
    )
