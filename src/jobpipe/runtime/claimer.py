"""Claims jobs for free slots: on a hint at once, otherwise on the poll.

While it is idle it leaves the poll to the worker's looks, and claims when one has found something.

It claims as many as there are free slots and reads a little ahead: what the worker finished in
the last 100 ms, so that short jobs never wait for a round trip and long ones are not hoarded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jobpipe.delivery.hub import Hint
from jobpipe.errors import StoreUnavailable
from jobpipe.failpoint import failpoint
from jobpipe.model.job import Claimed, Finish, Lane
from jobpipe.policy.frontier import Frontier
from jobpipe.runtime import walks
from jobpipe.runtime.demand import CLAIM_MAX, Demand
from jobpipe.runtime.lanes import Ask, LaneChoice
from jobpipe.runtime.records import Records
from jobpipe.runtime.telling import Telling
from jobpipe.runtime.walks import Question, Walks
from jobpipe.store.ops import claim as ops
from jobpipe.store.ops.aside import Known, set_aside
from jobpipe.store.ops.claim import Held
from jobpipe.store.port import AsyncStore, Operation
from jobpipe.telemetry.events import StoreBack, StoreLost, emit

SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Bounds of the wait between two tries while the store is away, in seconds."""


RECONCILE_AFTER_SECONDS = (5.0, 70.0)
"""When the store is asked again, after a cut, what it says we hold: a claim whose connection
broke may be committed late, but not after the longest time that a statement may take."""


@dataclass(frozen=True, slots=True)
class Bid:
    """A claim that somebody's transaction makes in the claimer's place."""

    ask: Ask
    limit: int
    done: list[int]
    """The records that it deletes."""
    claim: Operation[list[Claimed]]
    may_have_more: bool
    """There may be something to claim also when nobody is let in."""


class Claimer:
    """One loop that claims while there is room; ``put`` receives what each claim has found."""

    def __init__(
        self,
        store: AsyncStore,
        worker_id: int,
        lanes: LaneChoice,
        *,
        poll_seconds: float,
        demand: Callable[[], Demand],
        put: Callable[[Sequence[Claimed]], None],
        telling: Telling,
    ) -> None:
        self.records = Records()
        self.frontier = Frontier(poll_seconds)
        self.idle = asyncio.Event()
        """Set when a claim that began after the last hint has found all there was."""
        self.claims = 0
        """How many claims have found something."""
        self._store = store
        self._worker_id = worker_id
        self._lanes = lanes
        self._poll_seconds = poll_seconds
        self._demand = demand
        self._put = put
        self._telling = telling
        self._wake = asyncio.Event()
        self._closing = False
        self._walks = Walks(store, self.frontier, self._take)
        self._is_exhausted = False
        """The last look has found less than there was room for, and no hint has come since."""
        self._rests = False
        """It waits for a hint, or for a look that has found something."""
        self._polled_at = float("-inf")
        self._doubts: list[float] = []
        self._known = Known()
        self._is_claiming = False
        self._bid: Bid | None = None
        """What is claimed just now in our place."""
        self._is_put_off = False
        """A claim was due for which it left no room."""

    def know(self, known: Known) -> bool:
        """Take over what keeps jobs from running; tell whether that may concern jobs in hand."""
        before, self._known = self._known, known
        return not (known.paused_tasks <= before.paused_tasks and known.limited <= before.limited)

    def look(self, hint: Hint | None = None) -> None:
        """Claim soon: something may have been queued."""
        if hint is not None:
            self._lanes.add(hint.lanes)
            for lane, rank in hint.lanes.items():
                self.frontier.lower(lane, rank)
        self._is_exhausted = False
        self.idle.clear()
        self._wake.set()

    def look_for_more(self) -> None:
        """Claim soon, unless there was nothing left: a slot is free."""
        if not self._is_exhausted:
            self.look()

    def look_fully(self) -> None:
        """Claim soon, and look at everything that is queued."""
        self.frontier.forget_walks()
        self.look()

    def look_if_waiting(self) -> None:
        """Claim soon if there was no room for outcomes before."""
        if not self.idle.is_set():
            self._wake.set()

    def may_be_asked_for(self) -> bool:
        """Tell whether the next look asks in its place, as it does at once from now on."""
        self._polled_at = float("-inf")
        return self._rests

    def question(self, before: float) -> Question | None:
        """Return what a look is to ask for this claimer, if its poll is due ``before`` that time.

        None while it claims by itself, as it does when a full walk has to be made in slices.
        """
        if not self._rests or self._polled_at + self._poll_seconds > before:
            return None
        self._polled_at = time.monotonic()
        lanes = self._lanes.all()
        asked = walks.question(self._store.capabilities, self.frontier, lanes)
        if asked is None:
            self.look()
        return asked

    def answered(self, question: Question, ready: Mapping[Lane, int]) -> None:
        """Take over what a look has found: per lane the lowest rank of a queued job."""
        walks.answered(self.frontier, question)
        if ready:
            self._walks.was_short = False  # there is no need to peek
            self.look(Hint(ready))

    def bid(self, most: int) -> Bid | None:
        """Return what somebody's transaction may claim in our place, for so many slots at most;
        ``took`` or ``lost`` ends that.

        None while a claim or a bid is under way, when a walk is due that looks further down, and
        where one claim would not do: queues with slots of their own, a lane that was passed over.
        """
        now = time.monotonic()
        return self._bid_beyond(most, now, lambda lanes: self._walks.near(lanes, now))

    def bid_at_rest(self) -> Bid | None:
        """Return what somebody's transaction may claim of what it queues itself, for half of the
        room, rounded up: the rest is for what comes meanwhile.

        None unless the claimer waits, having found all there was: looks make its other walks.
        """
        if not self._rests or self._wake.is_set():
            return None
        half, now = -(-self._demand().room // 2), time.monotonic()
        return self._bid_beyond(half, now, lambda _lanes: self._walks.newest(now))

    def _bid_beyond(
        self, most: int, now: float, ranks: Callable[[Sequence[Lane]], Mapping[Lane, int] | None]
    ) -> Bid | None:
        if self._closing or self._is_claiming or self._bid is not None or self._is_in_doubt(now):
            return None
        asks, demand = self._lanes.asks(now), self._demand()
        if len(asks) != 1 or not asks[0].is_plain or not demand.is_due:
            return None
        ask, limit = asks[0], min(demand.room, most, CLAIM_MAX)
        after = ranks(ask.lanes)
        if after is None:
            return None
        done = self.records.take_done()
        claim = ops.claim(self._worker_id, ask.lanes, limit, after=after, done=done)
        self._bid = Bid(ask, limit, done, claim, may_have_more=not self._is_exhausted)
        return self._bid

    async def took(self, bid: Bid, jobs: list[Claimed] | None) -> None:
        """Take over what such a transaction has claimed; None: it has not tried."""
        try:
            if jobs is None:
                self.records.return_done(bid.done)
                return
            is_all = ops.is_last_word(jobs, bid.limit)
            self._lanes.answered(bid.ask, jobs, is_all, time.monotonic())
            self._walks.took(jobs)
            if jobs:
                await self._receive(jobs, in_place=True)
        except StoreUnavailable:  # whether they are to run could not be asked
            self._doubt(at_once=True)
        except BaseException:  # nobody here holds them
            self._doubt(at_once=True)
            raise
        finally:
            self._end_bid()

    def lost(self, bid: Bid) -> None:
        """No answer came: the store alone knows what was claimed in our place."""
        self.records.return_done(bid.done)
        self._doubt(at_once=True)
        self._end_bid()

    def _end_bid(self) -> None:
        self._bid = None
        if self._is_put_off or self._closing:
            self._is_put_off = False
            self._wake.set()

    def close(self) -> None:
        """Make no further claim, nor a bid; what is under way is taken to its end."""
        self._closing = True
        self._wake.set()

    def ended(self, outcomes: Sequence[Finish]) -> None:
        """Forget claims that have been settled."""
        self.records.end([(end.id, end.token) for end in outcomes])

    async def run(self) -> None:
        """Claim until closed, and nothing is claimed in our place any more."""
        pause = SHORTEST_PAUSE
        while not self._closing:
            self._wake.clear()
            self._is_claiming = True
            try:
                may_have_more = await self._round()
            except StoreUnavailable as error:
                if pause == SHORTEST_PAUSE:
                    emit(StoreLost(doing="claiming", why=str(error)))
                self._doubt()
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                if await self._reconcile():
                    emit(StoreBack(doing="jobs are claimed"))
                    pause = SHORTEST_PAUSE
                continue
            finally:
                self._is_claiming = False
            if pause > SHORTEST_PAUSE:
                emit(StoreBack(doing="jobs are claimed"))
                pause = SHORTEST_PAUSE
            if self._is_in_doubt(time.monotonic()) and await self._reconcile():
                self._doubts.pop(0)
                self._wake.set()  # there may be nothing to wait for any more
            if not may_have_more:
                await self._wait()
        while self._bid is not None:
            self._wake.clear()
            await self._wake.wait()

    async def _round(self) -> bool:
        """Make the claims that are due; tell whether more may be claimed at once.

        An answer shorter than the claim asked for says that nothing is left. What it may have
        missed has a hint of its own, or is found by a later walk.
        """
        self._is_exhausted = False
        now = self._polled_at = time.monotonic()
        demand = self._demand()
        if not demand.is_due:
            return False
        room = demand.room
        if self._bid is not None:
            room -= self._bid.limit
            self._is_put_off = True
        if room <= 0:
            return False
        is_held_up = may_have_more = False
        for ask in self._lanes.asks(now):
            wanted = 1 if ask.lets_in else min(room, CLAIM_MAX)
            left = self._lanes.slots_left(ask, self.records.queues)
            if left is not None:
                wanted = min(wanted, demand.free, left)
            if wanted <= 0:
                is_held_up = True
                continue
            jobs = await self._walks.claim(ask.lanes, wanted)
            self._lanes.answered(ask, jobs, self._walks.was_short, now)
            may_have_more = may_have_more or not self._walks.was_short
            room -= len(jobs)
            demand = Demand(demand.free - len(jobs), demand.ahead)
            if room <= 0:
                break
        is_sure = not (self._wake.is_set() or self._is_in_doubt(now) or self._bid is not None)
        if not may_have_more and room > 0 and is_sure:
            self._is_exhausted = not is_held_up
            self.idle.set()
        return may_have_more and room > 0

    async def _take(
        self, lanes: Sequence[Lane], limit: int, after: Mapping[Lane, int]
    ) -> list[Claimed]:
        done = self.records.take_done()
        try:
            jobs = await self._store.run(
                ops.claim(self._worker_id, lanes, limit, after=after, done=done)
            )
        except BaseException:
            self.records.return_done(done)
            raise
        if jobs:
            await self._receive(jobs)
        return jobs

    async def _receive(self, jobs: list[Claimed], *, in_place: bool = False) -> None:
        """Put what was claimed, or give it back if that was ``in_place`` of a claimer that makes no
        claim any more."""
        failpoint("claim.taken")
        self.claims += 1
        may_run = await self._set_aside(jobs)
        if in_place and self._closing:
            await self.give_back([Held(job.id, job.token, job.rank) for job in may_run])
            return
        self.records.add(may_run)
        self._put(may_run)

    async def _set_aside(self, jobs: list[Claimed]) -> list[Claimed]:
        """Set aside what is not to run; until that is done it is in no record of ours."""
        doubtful = self._known.doubtful(jobs)
        if not doubtful:
            return jobs
        failpoint("set_aside.before")
        changes = await self._store.run(set_aside(doubtful, self._known))
        aside = {change.id for change in changes}
        may_run = [job for job in jobs if job.id not in aside]
        if not may_run:
            self.records.return_done([jobs[0].claim_id])
        if changes:
            self._telling.changed(changes)
            self._telling.came_to_gates()
        return may_run

    def _doubt(self, *, at_once: bool = False) -> None:
        """Ask the store again what it says we hold; a doubt from before is not put off."""
        now = time.monotonic()
        later = [now + seconds for seconds in RECONCILE_AFTER_SECONDS]
        self._doubts = [*([now] if at_once else self._doubts[:1]), *later]
        self._wake.set()  # who rests would not look at the time

    def _is_in_doubt(self, now: float) -> bool:
        """Tell whether the store is to be asked now what it says we hold."""
        return bool(self._doubts) and now >= self._doubts[0]

    async def _reconcile(self) -> bool:
        """After a cut, give back what the store says we hold and no answer told us of."""
        if self._bid is not None:  # its answer may be under way
            return False
        try:
            held = await self._store.run(ops.held(self._worker_id))
            unknown = [h for h in held if (h.id, h.token) not in self.records.held]
            if unknown:
                await self.give_back(unknown)
        except StoreUnavailable:
            return False
        return True

    async def give_back(self, claims: Sequence[Held], *, started: bool = False) -> int:
        """Queue claims again, uncharged, and tell of it; returns how many it was given.

        Those that may have ``started`` come to their gates. Raises StoreUnavailable.
        """
        if not claims:
            return 0
        failpoint("give_back.before")
        back = await self._store.run(ops.give_back(claims, started=started))
        for queued in back:
            self.frontier.lower(queued.lane, queued.rank)
        self._is_exhausted = False
        self.records.end([(held.id, held.token) for held in claims])
        self._telling.queued(back)
        if len(back) < len(claims):  # some were cancelled, are at gates, or not ours any more
            self._telling.something()
            self._telling.came_to_gates()
        return len(claims)

    async def _wait(self) -> None:
        self._rests = self._is_exhausted and not self._doubts
        try:
            async with asyncio.timeout(None if self._rests else self._poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._rests = False
