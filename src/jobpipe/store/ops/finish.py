"""Write how attempts ended: each guarded by its token, many in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from msgspec import Struct

from jobpipe.errors import LeaseLost
from jobpipe.model.job import Finish
from jobpipe.model.state import State
from jobpipe.store.port import VARIES, Batch, Mode, Op, Operation, Statement, operation

COLUMNS = (
    "id",
    "token",
    "state",
    "reason",
    "outcome",
    "result",
    "error",
    "delay_us",
    "charged",
    "duration_us",
    "age_us",
)


PLAIN = (
    *(VARIES, 1, State.SUCCEEDED, None, "succeeded"),
    *(VARIES, None, None, True, VARIES, VARIES),
)
"""What most attempts come to, success at the first try, as far as it is the same for all."""

STATES = {state.value: state for state in State}


class Finished(Struct, frozen=True):
    """One outcome that the store took."""

    id: int
    state: State
    cancel_requested: bool
    """Somebody asked for a cancel while it ran."""
    marked: bool = False
    """Somebody minds what became of it: there is something to admit."""


def finish(outcomes: Sequence[Finish], now_ns: int) -> Operation[list[Finished]]:
    """Record the outcomes; those whose attempt is no longer current are missing in the answer.

    ``now_ns`` is the monotonic clock that ``ended_at_ns`` was read from.
    """
    for end in outcomes:
        if end.slow_us is not None:
            return Operation("finish", Mode.TRANSACTION, lambda: _finish_slowing(outcomes, now_ns))
    return Operation("finish", Mode.ONE, lambda: _finish(outcomes, now_ns))


def _finish_slowing(outcomes: Sequence[Finish], now_ns: int) -> Op[list[Finished]]:
    """Record outcomes of which some slow their keys down."""
    written = yield from _finish(outcomes, now_ns)
    slowing = {end.id: end.slow_us for end in outcomes if end.slow_us is not None}
    for id in sorted(slowing.keys() & {end.id for end in written}):
        yield Statement("slow_gate", {"id": id, "shut_us": slowing[id]})
    return written


def _finish(outcomes: Sequence[Finish], now_ns: int) -> Op[list[Finished]]:
    batch = [
        (
            end.id,
            end.token,
            end.state,
            end.reason,
            end.outcome,
            end.result,
            end.error,
            end.delay_us,
            end.charged,
            end.duration_us,
            max(0, (now_ns - end.ended_at_ns) // 1000),
        )
        for end in sorted(outcomes, key=attrgetter("id"))
    ]
    written = yield Statement("finish", batch=Batch(COLUMNS, batch, PLAIN))
    return [
        Finished(
            row["id"], STATES[row["state"]], bool(row["cancel_requested"]), bool(row["marked"])
        )
        for row in written
    ]


@operation(Mode.ONE)
def succeed(end: Finish, now_ns: int) -> Op[Finished]:
    """Record a success that commits together with what the attempt wrote itself.

    Raises LeaseLost when the attempt is no longer current, so that nothing of it is committed.
    """
    taken = yield from finish([end], now_ns).start()
    if not taken:
        raise LeaseLost(f"job {end.id}: this attempt is no longer current; nothing was written")
    return taken[0]


@operation(Mode.READ)
def already_written(outcomes: Sequence[Finish]) -> Op[set[int]]:
    """Tell which outcomes stand in the store although no answer came (a connection broke)."""
    wanted = {end.id: end for end in outcomes}
    found = yield Statement("read_tokens", {"ids": sorted(wanted)})
    return {
        row["id"]
        for row in found
        if row["token"] == wanted[row["id"]].token and row["state"] == wanted[row["id"]].state
    }
