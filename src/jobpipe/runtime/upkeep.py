"""The duties that any one worker does for all: promote, admit, sweep, unpark, carry out operations,
prune, fold counters.

What there is to do shows in the answer to a worker's look, so an idle store is asked once for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from jobpipe.delivery.hub import Hint
from jobpipe.runtime.admitter import Admitter
from jobpipe.runtime.bidding import Bidder
from jobpipe.runtime.duty import Duty
from jobpipe.runtime.operator import Operator
from jobpipe.runtime.options import WorkerKit, WorkerOptions
from jobpipe.runtime.promoter import Promoter
from jobpipe.runtime.pruner import Pruner, Rollup
from jobpipe.runtime.seat import Lease
from jobpipe.runtime.sweeper import Sweeper
from jobpipe.runtime.telling import Telling
from jobpipe.runtime.unparker import Unparker
from jobpipe.store.ops.admit import Admitted
from jobpipe.store.ops.worker import Control, Since


class Upkeep:
    """All of these duties of one incarnation."""

    def __init__(
        self,
        kit: WorkerKit,
        options: WorkerOptions,
        lease: Lease,
        bidder: Bidder,
        ring: Callable[[Hint], None],
        look_in: Callable[[float], None],
    ) -> None:
        self._hub, telling = kit.hub, Telling(kit.hub)
        self._promoter = Promoter(kit.store, options.poll_seconds, telling, look_in)
        self._sweeper = Sweeper(
            kit.store,
            is_dead_by_lock=kit.locks.is_dead if kit.locks else _is_unknown,
            forget_lock=kit.locks.forget if kit.locks else _forget_nothing,
            heartbeat_was_late=lease.was_late,
            telling=telling,
        )
        self._admitter = Admitter(bidder, telling, options.max_payload)
        self._unparker = Unparker(kit.store, kit.registry.run_here, ring)
        self._operator = Operator(kit.store, telling)
        self._promoting = Duty("promoting", self._promoter.once)
        self._admitting = Duty("admitting", partial(self._admitter.once, claims=True))
        self._sweeping = Duty("sweeping", self._sweeper.once)
        self._unparking = Duty("unparking", self._unparker.once)
        self._operating = Duty("carrying out operations", self._operator.once)
        self._taken = {
            "prune": Duty("pruning", Pruner(kit.store, options.retention).once),
            "rollup": Duty("folding counters", Rollup(kit.store).once),
        }
        """What one worker at a time takes from the store."""
        self.duties = [
            self._promoting,
            self._admitting,
            self._sweeping,
            self._unparking,
            self._operating,
            *self._taken.values(),
        ]

    def ask(self) -> Since:
        """Return from where on a look is to tell what there is to do."""
        return Since(self._promoter.ask(), self._admitter.ask())

    def looked(self, since: Since, control: Control, took_seconds: float) -> None:
        """Take over what a look has found."""
        self._hub.heard_of_watches(control.watchers)
        if self._promoter.answered(since.due, control.due, took_seconds):
            self._promoting.soon()
        for name, duty in self._taken.items():
            if name in control.duties:
                duty.soon()
        if self._sweeper.note(control):
            self._sweeping.soon()
        if not control.has_looks:
            self._admitter.looked(since.looks, took_seconds)
        if control.has_looks or self._admitter.note(control.gate_in_us):
            self._admitting.soon()
        if control.has_operations:
            self._operating.soon()
        if self._unparker.note(control.has_parked):
            self._unparking.soon()

    def falls_due(self, in_us: int) -> None:
        """A job was stored that starts so much later."""
        if self._promoter.note(in_us):
            self._promoting.soon()

    def admit(self) -> None:
        """A job came to a gate, or left what others wait for."""
        self._admitting.soon()

    def ask_for_round(self) -> int:
        """Return from which note on a round is to look that is done in another transaction; then
        tell of it (``admitted``)."""
        return self._admitter.near()

    def admitted(self, began: float, round_: Admitted) -> None:
        """Take over what such a round has done."""
        pause = self._admitter.answered(began, round_)
        if pause == 0.0:
            self._admitting.soon()
        elif pause is not None:
            self._admitting.within(pause)

    async def bring_back(self) -> None:
        """Queue everything that may run now and is not queued, as of the last look."""
        await _to_the_end(self._operator)
        turns: tuple[Callable[[], Awaitable[float | None]], ...]
        turns = (self._promoter.once, self._sweeper.once, self._unparker.once)
        for turn in turns:
            while await turn() == 0.0:
                continue
        await _to_the_end(self._admitter)


async def _to_the_end(shared: Operator | Admitter) -> None:
    """Do all there is, also what another worker does just now."""
    pause = await shared.once()
    while pause == 0.0 or shared.is_busy:
        await asyncio.sleep(pause or 0.0)
        pause = await shared.once()


def _is_unknown(_worker_id: int) -> bool:
    return False


def _forget_nothing(_worker_id: int) -> None:
    """Where there are no lock files, none is left behind."""
