"""Let blocked jobs in: the one place where gates open and what waits for other jobs is let go.

Jobs are looked at because they came to a gate, or left what somebody waits for; a trigger notes
each of them in the transaction in which that happens. One process at a time admits, so that
nothing here races with itself.
"""

from __future__ import annotations

from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from jobpipe.model.change import Change
from jobpipe.model.job import Claimed
from jobpipe.model.state import State
from jobpipe.store.ops.aside import come_back
from jobpipe.store.ops.claim import Queued, moved
from jobpipe.store.ops.fair import NOBODY, arrive, fair, look_again
from jobpipe.store.ops.flows import flows
from jobpipe.store.ops.gates import gates
from jobpipe.store.ops.handing import MAX_PAYLOAD
from jobpipe.store.ops.look import look_at, take_looks
from jobpipe.store.ops.rounds import Agenda, begin_round
from jobpipe.store.port import Mode, Op, Operation, Statement, operation

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
    next_in_us: int | None = None
    """When the time of a gate comes that may open by itself; 0 or less: it has come."""
    newest: int | None = None
    """The highest id of the notes that were looked at; None: there were none."""
    is_last_note: bool = True
    """No note is left but those that came meanwhile."""
    oldest: int = 0
    """Transactions with a lower number had ended when the round began."""
    own: int = 0
    """Transactions with a higher number had written nothing when the round began."""
    claimed: list[Claimed] | None = None
    """None: nobody claimed."""


@operation(Mode.TRANSACTION)
def admit(
    since: int = 0,
    max_payload: int = MAX_PAYLOAD,
    claim: Operation[list[Claimed]] | None = None,
) -> Op[Admitted | None]:
    """Do one round, and the claim if that queued anything; None: somebody else admits just now.

    Notes with an id below ``since`` are not looked at. No job is handed more than ``max_payload``
    bytes.
    """
    agenda = yield from begin_round()
    if agenda is None:
        return None
    round_ = yield from _round(agenda, since, max_payload)
    if claim is None or not round_.queued:
        return round_
    return replace(round_, claimed=(yield from claim.start()))


def _round(agenda: Agenda, since: int, max_payload: int) -> Op[Admitted]:
    back = (yield from come_back(LOOKS_MAX)) if agenda.has_pauses else set()
    arrived = (yield from arrive()) if agenda.has_arrivals else NOBODY
    noted = yield from take_looks(since, LOOKS_MAX)
    others = yield from look_at((arrived.ids | back) - noted.ids)
    looked = sorted([*noted.jobs, *others], key=attrgetter("id"))
    ids = noted.ids | arrived.ids | back
    flowed = yield from flows(ids, looked, max_payload, any_late=agenda.has_late_flows)
    ready = [job for job in flowed.free if not job.is_aside]
    turns = yield from fair(looked, ids.difference(job.id for job in looked), ready)
    passed = yield from gates(looked, turns.free, agenda.gate_in_us)
    free = [job.id for job in passed.free]
    waits = yield from look_again(turns.free, set(free))
    found = (yield Statement("admit", {"ids": free})) if free else []
    let_in = moved(found)
    held = set(free).difference(row["id"] for row in found)
    if held:  # by somebody's open transaction: the next look finds them
        yield Statement("note_looks", {"ids": sorted(held)})
    noted_anew = bool(passed.ended or let_in.ended) or passed.more
    is_left = arrived.more or flowed.more or turns.more or waits or noted_anew
    return Admitted(
        tuple(let_in.queued),
        (*flowed.ended, *passed.ended, *let_in.ended),
        any(row["state"] == State.SCHEDULED for row in found),
        is_left or LOOKS_MAX in (noted.notes, len(back)),
        passed.next_in_us,
        noted.newest,
        noted.notes < LOOKS_MAX,
        agenda.oldest,
        agenda.own,
    )
