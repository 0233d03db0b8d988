"""Hands jobs out to programs that ask for them, and lets those wait for which there are none.

Who waits is woken by hints, one for each lane that has something; whoever was given as many jobs
as he asked for wakes the next, since there may be more. What no hint tells of is found by the look
of the service, which asks once for all that wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from jobpipe.delivery.hub import Hint
from jobpipe.errors import LeaseLost, StoreUnavailable
from jobpipe.failpoint import failpoint
from jobpipe.model.change import Change
from jobpipe.model.job import Claimed, Lane
from jobpipe.model.worker import NewWorker
from jobpipe.policy.ageing import Ageing
from jobpipe.policy.frontier import Frontier
from jobpipe.runtime import walks
from jobpipe.runtime.lanes import LaneChoice
from jobpipe.runtime.referee import Referee
from jobpipe.runtime.telling import Telling
from jobpipe.runtime.unparker import Unparkers
from jobpipe.runtime.walks import Question, Walks
from jobpipe.store.ops import hand_out as ops
from jobpipe.store.ops.aside import Known
from jobpipe.store.ops.claim import Queued
from jobpipe.store.ops.worker import Control
from jobpipe.store.port import AsyncStore

CLAIM_MAX = 1_000
"""Most jobs of one claim."""


class Wish:
    """What one call asks for, and what it was given so far."""

    def __init__(
        self,
        worker: NewWorker,
        lease_us: int,
        lanes: LaneChoice,
        slots: int,
        tasks: frozenset[str] | None,
    ) -> None:
        """``tasks`` are those that the program knows; None: it takes any."""
        self.worker, self.lease_us, self.lanes = worker, lease_us, lanes
        self.slots, self.tasks = slots, tasks
        self.woken = asyncio.Event()
        """There may be something for it."""
        self.claim: int | None = None
        self.lease_until: int | None = None
        self.jobs: list[Claimed] = []
        self.back: Sequence[Queued] = ()
        """Suspects that its last look found, and that are to be found again."""

    @property
    def is_closed(self) -> bool:
        """Tell whether it has all that it may have: a suspect stays alone."""
        return len(self.jobs) >= self.slots or any(job.suspect for job in self.jobs)

    def asked(self) -> list[Lane]:
        """Return the lanes that it asks for."""
        return self.lanes.all()


class Handout:
    """All who ask one service for jobs; used on one event loop."""

    def __init__(
        self,
        store: AsyncStore,
        referee: Referee,
        unparkers: Unparkers,
        telling: Telling,
        poll_seconds: float,
        ageing: Ageing,
    ) -> None:
        self.frontier = Frontier(poll_seconds)
        self._ageing = ageing
        self._store = store
        self._referee = referee
        self._unparkers = unparkers
        self._telling = telling
        self._lanes: frozenset[Lane] = frozenset()
        self._paused: frozenset[str] = frozenset()
        self._known = Known()
        self._wishes: dict[Wish, None] = {}
        """Those that are not answered yet, in the order they came."""
        self._closing = False

    async def grant(self, wish: Wish, wait_seconds: float) -> bool:
        """Fill the wish, waiting so long for a first job; tell whether there is one.

        Raises StoreUnavailable.
        """
        ends = time.monotonic() + wait_seconds
        taker = Walks(self._store, self.frontier, partial(self._take, wish))
        if wish.tasks is not None:
            await self._unparkers.bring_back(wish.tasks)
        wish.lanes.ageing = self._ageing
        wish.lanes.know(self._lanes, self._paused)
        self._wishes[wish] = None
        try:
            while not self._closing:
                wish.woken.clear()
                await self._claim_safely(wish, taker)
                if wish.jobs:
                    break
                async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                    await wish.woken.wait()
        except TimeoutError:
            pass
        finally:
            del self._wishes[wish]
            if wish.woken.is_set() or not taker.was_short:
                self._wake(wish.asked())
        return bool(wish.jobs)

    def hint(self, hint: Hint) -> None:
        """Take over what was queued, and wake who waits for it."""
        for lane, rank in hint.lanes.items():
            self.frontier.lower(lane, rank)
        if not self._lanes.issuperset(hint.lanes):
            self._know(self._lanes.union(hint.lanes), self._paused)
        self._wake(hint.lanes)

    def question(self) -> Question | None:
        """Return what a look is to ask for those who wait; None when it need not ask."""
        lanes = list(dict.fromkeys(lane for wish in self._wishes for lane in wish.asked()))
        if not lanes:
            return None
        asked = walks.question(self._store.capabilities, self.frontier, lanes)
        if asked is None:  # a claim makes a full walk in slices
            self._wake(lanes)
        return asked

    def looked(self, control: Control, asked: Question | None) -> None:
        """Take over what a look has found."""
        before = self._lanes, self._paused
        self._know(self._lanes | control.lanes, control.paused)
        self._known = control.known
        self.frontier.adopt(control.frontier)
        self._unparkers.note(control.has_parked)
        if asked is not None:
            walks.answered(self.frontier, asked)
            self.hint(Hint(control.ready))
        resumed = before[1] - self._paused
        fresh = self._lanes - before[0]
        self._wake([lane for lane in self._lanes if lane in fresh or lane.queue in resumed])

    async def unpark(self) -> None:
        """Bring back parked jobs whose tasks those who wait know."""
        for tasks in {wish.tasks for wish in self._wishes if wish.tasks is not None}:
            await self._unparkers.bring_back(tasks)

    async def give_back(self, claim: int, caller: str, jobs: int) -> None:
        """Queue the ``jobs`` of a claim of which nobody was told; raises LeaseLost."""
        queued = await self._store.run(ops.give_claim_back(claim, caller))
        self._telling.queued(queued)
        if len(queued) < jobs:  # a cancel came first
            self._telling.something()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closing = True
        for wish in self._wishes:
            wish.woken.set()

    def _know(self, lanes: frozenset[Lane], paused: frozenset[str]) -> None:
        self._lanes, self._paused = lanes, paused
        for wish in self._wishes:
            wish.lanes.know(lanes, paused)

    def _wake(self, lanes: Iterable[Lane]) -> None:
        """Wake for each lane the first of those that ask for it."""
        left = set(lanes)
        for wish in self._wishes:
            if not left:
                return
            asked = left.intersection(wish.asked())
            if asked:
                wish.woken.set()
                left -= asked

    async def _claim_safely(self, wish: Wish, taker: Walks) -> None:
        """Claim for the wish; if its caller goes away meanwhile, nothing stays claimed."""
        claiming = asyncio.ensure_future(self._claim(wish, taker))
        try:
            await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await _to_the_end(self._undo(wish, claiming))
            raise

    async def _undo(self, wish: Wish, claiming: asyncio.Future[None]) -> None:
        with suppress(StoreUnavailable, LeaseLost):  # then the lease ends by itself
            await claiming
            if wish.claim is not None:
                await self.give_back(wish.claim, wish.worker.host, len(wish.jobs))

    async def _claim(self, wish: Wish, taker: Walks) -> None:
        now = time.monotonic()
        for ask in wish.lanes.asks(now):
            while not wish.is_closed:
                wanted = 1 if ask.lets_in else min(wish.slots - len(wish.jobs), CLAIM_MAX)
                held = Counter(job.queue for job in wish.jobs)
                left = wish.lanes.slots_left(ask, held)
                wanted = wanted if left is None else min(wanted, left)
                if wanted <= 0:
                    break
                had = len(wish.jobs)
                try:
                    found = await taker.claim(ask.lanes, wanted)
                except StoreUnavailable:
                    if not wish.jobs:
                        raise
                    return
                wish.lanes.answered(ask, found, taker.was_short, now)
                back, wish.back = wish.back, ()
                for queued in back:  # the walk has passed them
                    self.frontier.lower(queued.lane, queued.rank)
                if not found or back or len(wish.jobs) > had:
                    break  # what was found and is not to be run makes room for another look

    async def _take(
        self, wish: Wish, lanes: Sequence[Lane], limit: int, after: Mapping[Lane, int]
    ) -> Sequence[Claimed]:
        kept = ops.Sorted((), (), ())

        def sort(found: Sequence[Claimed]) -> ops.Sorted:
            nonlocal kept
            kept = self._referee.sort(found, wish.tasks, has_jobs=bool(wish.jobs))
            return kept

        answer = await self._store.run(
            ops.hand_out(
                wish.worker,
                wish.lease_us,
                lanes,
                limit,
                after=after,
                sort=sort,
                now_ns=time.monotonic_ns(),
                claim_id=wish.claim,
                known=self._known,
            )
        )
        failpoint("hand_out.taken")
        if not answer.found:  # what was sorted, if anything, was undone and tried again
            return ()
        aside = {change.id for change in answer.aside}
        met = [job for job in answer.found if job.id not in aside]
        self._referee.tell_unrun(met, wish.tasks)
        wish.jobs += kept.jobs
        wish.back = answer.back
        if answer.claim is not None:
            wish.claim, wish.lease_until = answer.claim, answer.lease_until
        queues = {job.id: job.queue for job in answer.found}
        ended = [Change(end.id, end.state, queues[end.id]) for end in kept.ended]
        self._telling.claimed(kept.jobs)
        self._telling.queued(answer.back, [*ended, *answer.aside])
        if aside:
            self._telling.came_to_gates()
        return answer.found


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for it, whoever cancels meanwhile."""
    working = asyncio.ensure_future(work)
    while not working.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([working])
    working.result()
