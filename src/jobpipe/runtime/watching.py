"""Watches what becomes of jobs, here and in other processes, for as long as somebody reads of it.

Whoever changes a job says so only while somebody watches, and what he says is a hint like any
other: it may come late, twice or not at all. So once in a while it is gathered, the jobs that it
names are read, and what the store says of them becomes events. Where too much changes, or where
nobody can tell what, readers hear how much it was, or that they must look for themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.errors import JobpipeError
from jobpipe.model.change import CHANGES_MAX, NO_CHANGES, UNKNOWN, Change, Changes, Place, joined
from jobpipe.model.state import INITIAL, State
from jobpipe.runtime.duty import Duty
from jobpipe.runtime.events import COUNTS, EVERYTHING, JOB, QUEUE, EventLog, Subscription, Wanted
from jobpipe.runtime.hearing import Hearing
from jobpipe.runtime.options import Ears
from jobpipe.store.ops import watch as ops
from jobpipe.store.port import Operation

T = TypeVar("T")

GATHER_SECONDS = 0.25
"""How long changes gather: so a job has at most four events a second."""
LOOK_SECONDS = 1.0
"""How often new jobs are looked for though nobody spoke of any: as of those enqueued on a
connection that cannot tell of its commit."""
LAG_SECONDS = 1.0
"""How long an id below the newest one may still turn up: transactions commit in any order."""
LEASE_SECONDS, PROLONG_SECONDS = 10.0, 3.0
"""How long workers go on to tell a process that died; how often a living one says it watches."""
SETTLE_SECONDS = 1.2
"""When every worker has heard that somebody watches."""
LINGER_SECONDS = 10.0
"""How long the watch goes on without readers: one who was cut off comes back within that."""
CLOSE_SECONDS = 5.0
"""How long a thread waits for the end of a watch on a loop elsewhere."""
NEW_MAX = 1_000
"""Most new jobs that are read at once; beyond them nobody counts."""
KNOWN_MAX = 10_000


class Run(Protocol):
    """Runs an operation on the store without blocking the loop."""

    def __call__(self, operation: Operation[T], /) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class WatchingKit:
    """What a watch works with."""

    name: str
    hub: Hub
    run: Run
    ears: Callable[[Callable[[Hint], None]], Ears] | None
    """How to hear what others tell; None where nobody can."""
    is_shared: bool
    """Other processes may change the store."""


class Watching:
    """The watch of one process; used on one event loop at a time."""

    def __init__(self, open_kit: Callable[[], WatchingKit]) -> None:
        self._open_kit = open_kit
        self._forget_all()

    def _forget_all(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log = EventLog(self._emptied)
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._linger: asyncio.TimerHandle | None = None

    def subscribe(
        self, last_event_id: str | None = None, wanted: Wanted = EVERYTHING
    ) -> Subscription:
        """Return a reader of the events after this one, or from now on; the first one begins.

        When the event is not known any more, the reader's first one is a ``reset``. Raises
        ConfigError.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # whatever ran on another loop has ended with it
            self._forget_all()
            self._loop = loop
        if self._linger is not None:
            self._linger.cancel()
        if self._task is None:
            watch = self._watch(self._open_kit(), self._ending)
            self._task = loop.create_task(watch, name="jobpipe-watching")
        return self._log.subscribe(last_event_id, wanted)

    async def close(self) -> None:
        """End the watch and every reader; twice is fine."""
        if self._loop is not asyncio.get_running_loop():
            return
        self._log.close()
        self._end()
        if self._ending is not None:
            await asyncio.wait([self._ending])

    def close_now(self) -> None:
        """End it like ``close``, from any thread; a loop that does not run has ended it already.

        On its own loop nothing can be awaited: readers end, the watch goes soon after, and what
        it had in the store runs out by itself.
        """
        loop = self._loop
        if loop is None or not loop.is_running():
            return
        if _is_here(loop):
            self._log.close()
            if self._task is not None:
                self._open_kit().hub.watch = None
                self._end()
            return
        with suppress(TimeoutError, CancelledError, RuntimeError):  # it is busy, or just ends
            asyncio.run_coroutine_threadsafe(self.close(), loop).result(CLOSE_SECONDS)

    def _emptied(self) -> None:
        if self._loop is not None:
            self._linger = self._loop.call_later(LINGER_SECONDS, self._end)

    def _end(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
        if self._task is not None and not self._log.has_readers:
            self._ending, self._task = self._task, None
            self._ending.cancel()

    async def _watch(self, kit: WatchingKit, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            await Watch(kit, self._log).run()
        finally:
            self._log.forget()


def _is_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class Watch:
    """One watch, from its row in the store to the end of that row."""

    def __init__(self, kit: WatchingKit, log: EventLog) -> None:
        self._loop = asyncio.get_running_loop()
        self._kit = kit
        self._log = log
        self._gathered = NO_CHANGES
        self._is_called = False
        self._known: dict[int, State] = {}
        """What readers heard last of each job."""
        self._marks: deque[tuple[float, int]] = deque()
        """When which id was the highest; below the first one nothing new turns up."""
        self._telling = Duty("telling what changes", self._tell)
        self._keeping = Duty("watching", self._keep)

    async def run(self) -> None:
        """Watch until cancelled."""
        hub = self._kit.hub
        hearing = Hearing(self._kit, self._take)
        hub.is_watched_here = True
        try:
            await hearing.start()
            await asyncio.gather(self._keeping.run(), self._telling.run())
        finally:
            hub.is_watched_here = False
            watch, hub.watch = hub.watch, None
            await hearing.stop()
            if watch is not None:
                with suppress(JobpipeError):  # its time runs out by itself
                    await self._kit.run(ops.end_watch(watch))

    async def _keep(self) -> float:
        """See to it that the workers know."""
        hub, lease_us = self._kit.hub, round(LEASE_SECONDS * 1e6)
        run = self._kit.run
        if hub.watch is None or not await run(ops.prolong_watch(hub.watch, lease_us)):
            hub.watch = await run(ops.begin_watch(self._kit.name, lease_us))
            hub.ring(Hint(control=True))
            self._loop.call_later(SETTLE_SECONDS, self._gather, UNKNOWN)
        self._note_begun()
        return PROLONG_SECONDS

    def _take(self, hint: Hint) -> None:
        is_unnamed = hint.is_look and not hint.lanes
        self._gather(hint.changes or (UNKNOWN if is_unnamed else NO_CHANGES))

    def _gather(self, changes: Changes) -> None:
        self._gathered = joined(self._gathered, changes)
        if not self._is_called:
            self._is_called = True
            self._loop.call_later(GATHER_SECONDS, self._telling.soon)

    async def _tell(self) -> float:
        """Make events of what has gathered."""
        self._is_called = False
        changes, self._gathered = self._gathered, NO_CHANGES
        if self._kit.ears is None and self._kit.is_shared:
            changes = joined(changes, UNKNOWN)
        try:
            found, is_all = await self._read([change.id for change in changes.jobs])
        except BaseException:
            self._gathered = joined(changes, self._gathered)
            raise
        news = [change for change in found if self._known.get(change.id) is not change.state]
        events = [(QUEUE, {"queue": q, "paused": p}) for q, p in changes.paused.items()]
        events += self._events(changes, news, changes.is_complete and is_all)
        if events:
            self._log.add(events)
        self._note_begun()
        return LOOK_SECONDS

    def _events(
        self, changes: Changes, news: list[Change], is_complete: bool
    ) -> list[tuple[str, dict[str, Any]]]:
        """Name the jobs while they are few, else count them."""
        if not changes.tallies and len(news) <= CHANGES_MAX:
            self._know(news)
            unknown = [] if is_complete else [(COUNTS, _counts({}, is_complete))]
            return [(JOB, _job(change)) for change in news] + unknown
        self._forget_known()
        named = {change.id for change in changes.jobs}
        tallies: Counter[Place] = Counter(changes.tallies)
        tallies.update([_place(change, change.id in named) for change in news])
        return [(COUNTS, _counts(tallies, is_complete))]

    def _note_begun(self) -> None:
        """Workers can know, and from here on no new job is missed."""
        if self._marks and self._kit.hub.watch is not None:
            self._log.begun.set()

    async def _read(self, ids: list[int]) -> tuple[Iterable[Change], bool]:
        """Return where these jobs and those that are new stand now, and whether these are all."""
        run, now = self._kit.run, time.monotonic()
        if not self._marks:
            self._marks.append((now, await run(ops.newest_job())))
        while len(self._marks) > 1 and self._marks[1][0] < now - LAG_SECONDS:
            self._marks.popleft()
        after = self._marks[0][1]
        found = await run(ops.changed_jobs(ids, after, NEW_MAX))
        known, wanted = self._known, set(ids)
        highest = max([after, self._marks[-1][1], *found])
        if is_all := sum(id > after for id in found) < NEW_MAX:
            self._marks.append((now, highest))
        else:
            self._forget_marks(now, await run(ops.newest_job()))
        changes = [found[id] for id in sorted(found) if id in wanted or id not in known]
        return changes, is_all

    def _know(self, news: Iterable[Change]) -> None:
        for change in news:
            self._known.pop(change.id, None)
            self._known[change.id] = change.state
        for id in list(self._known)[: max(0, len(self._known) - KNOWN_MAX)]:
            del self._known[id]

    def _forget_known(self) -> None:
        """Of jobs that were only counted nobody knows what readers heard last."""
        self._known.clear()
        self._forget_marks(*self._marks[-1])

    def _forget_marks(self, now: float, newest: int) -> None:
        self._marks.clear()
        self._marks.append((now, newest))


def _place(change: Change, is_named: bool) -> Place:
    """Return what a job counts for; of a new one only that it is there: the rest is told too."""
    stays = is_named or change.state in INITIAL
    return change.queue, change.state if stays else State.QUEUED


def _job(change: Change) -> dict[str, Any]:
    return {"id": change.id, "state": change.state.value, "queue": change.queue}


def _counts(tallies: Mapping[Place, int], is_complete: bool) -> dict[str, Any]:
    changes = [
        {"queue": queue, "state": state.value, "jobs": n}
        for (queue, state), n in sorted(tallies.items())
    ]
    return {"changes": changes, "complete": is_complete}
