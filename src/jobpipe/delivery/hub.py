"""Hints inside one process: who queues a job rings, workers and senders listen.

A subscriber is called on the thread that rings and must return at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jobpipe.model.job import Lane


@dataclass(frozen=True, slots=True)
class Hint:
    """Look now: something was queued, falls due, or was decided."""

    lanes: Mapping[Lane, int] = field(default_factory=dict)
    """Per lane the lowest rank that was queued."""
    due_in_us: int | None = None
    """A job was stored that starts this much later."""
    control: bool = False
    """A job is to be cancelled, a queue was paused or resumed: workers read their control."""
    heard: bool = False
    """It came from another process, so it need not be sent on."""

    @property
    def is_look(self) -> bool:
        """Tell whether claimers should look."""
        return bool(self.lanes) or (self.due_in_us is None and not self.control)


LOOK = Hint()
"""Something changed, nobody knows what."""

Subscriber = Callable[[Hint], None]


class Hub:
    """Passes each hint to whoever subscribed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: tuple[Subscriber, ...] = ()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with every hint from now on; returns how to end that."""
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)
        return lambda: self._unsubscribe(subscriber)

    def ring(self, hint: Hint) -> None:
        for subscriber in self._subscribers:
            subscriber(hint)

    def _unsubscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)
