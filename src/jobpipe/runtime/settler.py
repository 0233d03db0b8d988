"""Writes what programs elsewhere report about the end of their jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, TypeVar

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.errors import JobpipeError, LeaseLost
from jobpipe.model.change import Change
from jobpipe.model.job import Finish
from jobpipe.model.state import Reason
from jobpipe.runtime.finisher import unstorable
from jobpipe.runtime.referee import Referee, Report
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops import hand_out as ops
from jobpipe.store.ops.hand_out import Settled
from jobpipe.store.port import Operation

T = TypeVar("T")


class Run(Protocol):
    """Runs an operation on the store."""

    async def __call__(self, operation: Operation[T], /) -> T: ...


class Settler:
    """Judges reports on one claim, writes the outcomes, and tells those whom they concern."""

    def __init__(self, run: Run, referee: Referee, hub: Hub, claim: int, caller: str) -> None:
        self._run = run
        self._referee = referee
        self._hub = hub
        self._claim, self._caller = claim, caller

    async def settle(self, reports: Sequence[Report]) -> Settled:
        """Record how jobs ended; raises LeaseLost when the claim has ended or is another's."""
        stands = await self._run(ops.standing([report.id for report in reports]))
        outcomes = [
            self._referee.outcome(stands[report.id], report)
            for report in reports
            if report.id in stands and stands[report.id].token == report.token
        ]
        settled = await self._write(outcomes)
        tasks = {stood.id: stood.task for stood in stands.values()}
        self._referee.tell(outcomes, settled, tasks)
        ends = [Change(end.id, end.state, stands[end.id].queue) for end in settled.taken]
        Telling(self._hub).changed(ends)
        if any(end.marked for end in settled.taken):
            Telling(self._hub).came_to_gates()
        delays = [end.delay_us for end in outcomes if end.delay_us is not None]
        if delays:
            self._hub.ring(Hint(due_in_us=min(delays)))
        return settled

    async def _write(self, outcomes: Sequence[Finish]) -> Settled:
        try:
            return await self._run(
                ops.settle(self._claim, self._caller, outcomes, time.monotonic_ns())
            )
        except JobpipeError:
            raise
        except Exception as error:  # the store refuses the data of one of them
            if len(outcomes) > 1:
                return await self._write_each(outcomes)
            if not outcomes or outcomes[0].reason is Reason.UNSTORABLE:
                raise
            return await self._write([unstorable(outcomes[0], error)])

    async def _write_each(self, outcomes: Sequence[Finish]) -> Settled:
        """Write them one by one; when the claim ends on the way, what was written counts."""
        parts: list[Settled] = []
        for end in outcomes:
            try:
                parts.append(await self._write([end]))
            except LeaseLost:
                if not parts:
                    raise
                parts.append(Settled(None, frozenset(), []))
        return _joined(parts)


def _joined(parts: Sequence[Settled]) -> Settled:
    return Settled(
        parts[-1].lease_until,
        frozenset().union(*(part.written for part in parts)),
        [end for part in parts for end in part.taken],
    )
