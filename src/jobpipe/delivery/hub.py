"""Hints inside one process: who queues a job rings, workers and senders listen.

A subscriber is called on the thread that rings and must return at once.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jobpipe.model.change import Changes
from jobpipe.model.job import Lane


@dataclass(frozen=True, slots=True)
class Hint:
    """Look now: something was queued, falls due, or was decided; or hear what has changed."""

    lanes: Mapping[Lane, int] = field(default_factory=dict)
    """Per lane the lowest rank that was queued."""
    due_in_us: int | None = None
    """A job was stored that starts this much later."""
    control: bool = False
    """A job is to be cancelled, a queue was paused or resumed: workers read their control."""
    gates: bool = False
    """A job came to a gate, or left what others wait for: somebody is to admit."""
    heard: bool = False
    """It came from another process, so it need not be sent on."""
    changes: Changes | None = None
    """What became of jobs, for those who watch."""

    @property
    def is_look(self) -> bool:
        """Tell whether claimers should look."""
        return bool(self.lanes) or not (self.is_for_workers or self.changes)

    @property
    def is_for_workers(self) -> bool:
        """Tell whether it says more than what has changed."""
        return bool(self.lanes) or self.due_in_us is not None or self.control or self.gates


LOOK = Hint()
"""Something changed, nobody knows what."""

Subscriber = Callable[[Hint], None]


class Hub:
    """Passes each hint to whoever subscribed, and knows whether anybody watches what changes."""

    def __init__(self) -> None:
        self._name = secrets.token_hex(4)
        self.watch: int | None = None
        """The row by which this process tells others that it watches."""
        self.is_watched_here = False
        self.is_watched_elsewhere = False
        self._lock = threading.Lock()
        self._subscribers: tuple[Subscriber, ...] = ()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with every hint from now on; returns how to end that."""
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)
        return lambda: self._unsubscribe(subscriber)

    @property
    def origin(self) -> str:
        """Tells what was rung here from what was rung elsewhere, in a forked process too."""
        return f"{self._name}-{os.getpid()}"

    @property
    def is_watched(self) -> bool:
        """Tell whether somebody wants to hear what becomes of jobs."""
        return self.is_watched_here or self.is_watched_elsewhere

    def heard_of_watches(self, watches: frozenset[int]) -> None:
        """Take over who watches, by the rows that say so."""
        self.is_watched_elsewhere = bool(watches) and not watches <= {self.watch}

    def ring(self, hint: Hint) -> None:
        for subscriber in self._subscribers:
            subscriber(hint)

    def _unsubscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)
