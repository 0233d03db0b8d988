"""The log of events of one process: the last ones in memory, numbered, for many readers at once.

A reader that stays away for longer than the log reaches back, or reads too slowly, hears ``reset``
and goes on from now. Readers wait without a task or a timer of their own.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from itertools import count, islice
from types import TracebackType
from typing import Any, Self

import msgspec

EVENTS_MAX = 10_000
"""Events that are kept."""
SLOW_MAX = 1_000
"""How many events a reader may be behind."""
BATCH_MAX = 500
"""Most events that a reader takes at once."""
SILENCE_SECONDS = 15
"""How long a reader waits for nothing before it is told so, in whole seconds."""

BEGIN_SECONDS = 5.0
"""Longest wait for the begin of what is heard."""

JOB, COUNTS, QUEUE, RESET = "job", "counts", "queue", "reset"
TOPICS = (JOB, COUNTS, QUEUE)
"""What a reader may choose; a ``reset`` comes to all."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened."""

    id: str
    kind: str
    data: dict[str, Any]
    text: str
    """The data as JSON, made once for all readers."""


class Wanted(msgspec.Struct, frozen=True):
    """What a reader wants to hear of; unless said otherwise, everything."""

    topics: frozenset[str] = frozenset(TOPICS)
    """Who hears of jobs hears the counts too, which tell of jobs left out."""
    queue: str | None = None
    job: int | None = None

    def takes(self, event: Event) -> bool:
        """Tell whether the reader wants this event."""
        data = event.data
        if event.kind == COUNTS:
            is_topic = JOB in self.topics or COUNTS in self.topics
            return is_topic and (not data["complete"] or self._has_place(data["changes"]))
        if event.kind not in self.topics or self.queue not in (None, data["queue"]):
            return False
        return self.job is None or (event.kind == JOB and data["id"] == self.job)

    def _has_place(self, places: Sequence[dict[str, Any]]) -> bool:
        return self.queue is None or any(place["queue"] == self.queue for place in places)


EVERYTHING = Wanted()


class EventLog:
    """Events with ids ``<boot>-<number>``; used on one event loop."""

    def __init__(self, emptied: Callable[[], None]) -> None:
        """``emptied`` is called when the last reader has left."""
        self.last = 0
        self.begun = asyncio.Event()
        """Set while everything that changes is heard of."""
        self.waiting: set[Subscription] = set()
        self._boot = secrets.token_hex(4)
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._readers: set[Subscription] = set()
        self._emptied = emptied
        self._seats = count()
        self._second = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def first(self) -> int:
        """The number after which everything that happened is still here."""
        return self.last - len(self._events)

    @property
    def has_readers(self) -> bool:
        return bool(self._readers)

    def id_of(self, number: int) -> str:
        return f"{self._boot}-{number}"

    def add(self, found: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Append events (kind, data), and wake those who want one of them."""
        events = [self._event(kind, data) for kind, data in found]
        for reader in list(self.waiting):
            if any(reader.wanted.takes(event) for event in events):
                reader.wake()
            else:
                reader.position = self.last

    def since(self, number: int, most: int) -> list[Event]:
        """Return the events after this number."""
        behind = self.last - number
        newest_first = list(islice(reversed(self._events), behind))
        return newest_first[::-1][:most]

    def reset(self) -> Event:
        """Return what tells one reader that he has missed something."""
        return Event(self.id_of(self.last), RESET, {}, "{}")

    def forget(self) -> None:
        """Nobody listens from here on: who comes back later has missed something."""
        self.begun.clear()
        self._events.clear()
        self.last += 1

    def subscribe(self, last_event_id: str | None, wanted: Wanted) -> Subscription:
        """Return a reader that begins after the event with this id; without one, now."""
        number = self.last if last_event_id is None else self._number(last_event_id)
        reader = Subscription(self, number, wanted, next(self._seats) % SILENCE_SECONDS)
        self._readers.add(reader)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(1.0, self._tick)
        return reader

    def leave(self, reader: Subscription) -> None:
        if reader in self._readers:
            self._readers.discard(reader)
            if not self._readers:
                self._emptied()

    def close(self) -> None:
        """End every reader."""
        for reader in list(self._readers):
            reader.close()

    def _event(self, kind: str, data: dict[str, Any]) -> Event:
        self.last += 1
        event = Event(self.id_of(self.last), kind, data, msgspec.json.encode(data).decode())
        self._events.append(event)
        return event

    def _number(self, id: str) -> int | None:
        boot, _, number = id.partition("-")
        if boot != self._boot or not (number.isascii() and number.isdecimal()) or len(number) > 18:
            return None
        return int(number) if self.first <= int(number) <= self.last else None

    def _tick(self) -> None:
        """One timer for all: each second a fifteenth of those who wait has waited long enough."""
        self._timer = None
        for reader in list(self._readers):
            reader.check()
        self._second = (self._second + 1) % SILENCE_SECONDS
        for reader in list(self.waiting):
            if reader.seat == self._second:
                reader.wake()
        if self._readers:
            self._timer = asyncio.get_running_loop().call_later(1.0, self._tick)


class Subscription:
    """One reader; ends with ``close``, with its ``async with`` block, or with the log."""

    __slots__ = (
        "_log",
        "_may_go_on",
        "_replays_to",
        "_resets",
        "_waiter",
        "is_open",
        "position",
        "seat",
        "wanted",
    )

    def __init__(self, log: EventLog, number: int | None, wanted: Wanted, seat: int) -> None:
        self.is_open = True
        self.position = log.last if number is None else number
        self.wanted = wanted
        self.seat = seat
        """The second of silence in which it is told so."""
        self._log = log
        self._resets = number is None
        self._replays_to = log.last
        self._waiter: asyncio.Future[None] | None = None
        self._may_go_on: Callable[[], bool] | None = None

    async def __aenter__(self) -> Self:
        await self.begun()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while self.is_open:
            for event in await self.batch():
                yield event

    @property
    def id(self) -> str:
        """The id after which to go on, when this reader is cut off now."""
        return self._log.id_of(self.position)

    async def begun(self) -> None:
        """Wait until changes are heard of, but no longer than 5 s: then the store is away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEGIN_SECONDS):
                await self._log.begun.wait()

    def keep_while(self, may_go_on: Callable[[], bool]) -> None:
        """Close when this is not so any more: it is asked once a second."""
        self._may_go_on = may_go_on

    def check(self) -> None:
        """Close if it may not go on."""
        if self._may_go_on is not None and not self._may_go_on():
            self.close()

    async def batch(self) -> list[Event]:
        """Wait for events; none after 15 s of silence, and when it is no longer open."""
        if self.is_open and not self._resets and self.position == self._log.last:
            self._waiter = asyncio.get_running_loop().create_future()
            self._log.waiting.add(self)
            try:
                await self._waiter
            finally:
                self._log.waiting.discard(self)
        return self._taken() if self.is_open else []

    def wake(self) -> None:
        """Let ``batch`` return what there is."""
        self._log.waiting.discard(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Read no more; twice is fine."""
        self.is_open = False
        self.wake()
        self._log.leave(self)

    def _taken(self) -> list[Event]:
        log, found = self._log, list[Event]()
        is_slow = log.last - max(self.position, self._replays_to) > SLOW_MAX
        if self._resets or is_slow or self.position < log.first:
            self._resets, self.position = False, log.last
            return [log.reset()]
        while not found and self.position < log.last:
            events = log.since(self.position, BATCH_MAX)
            self.position += len(events)
            found = [event for event in events if self.wanted.takes(event)]
        return found
