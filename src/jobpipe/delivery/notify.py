"""Sends hints to other processes, gathered: at most one message an interval.

Never inside a transaction that stores jobs: a notification there would make commits wait for
each other. A message that is lost costs its reader one poll; who watches what changes hears
afterwards that something is missing.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from jobpipe.delivery.hub import LOOK, Hint, Hub
from jobpipe.model import change
from jobpipe.model.change import NO_CHANGES, Change, Changes
from jobpipe.model.job import Lane
from jobpipe.model.state import State

INTERVAL_SECONDS = 0.005
CROWD, CROWDED_SECONDS = 10, 0.02
"""After this many hints in one interval, or as many for its time in a longer one, the next one is
longer: where so much is stored, whoever listens is busy, and each message costs as much as storing
a job."""
LANES_MAX = 50
"""Most lanes named in a message (PostgreSQL allows 8,000 bytes); beyond it, it says "look"."""
CHANGES_SECONDS = 0.05
"""How long a hint that says only what has changed may wait for more: who watches gathers for
longer, and each message costs who sends it as much as a job."""
BYTES_MAX = 7_999
RETRY_SECONDS = 0.2


class NotifySender:
    """A hub's subscriber that passes on what did not come from outside."""

    def __init__(self, hub: Hub, send: Callable[[Hint], None]) -> None:
        self._hub = hub
        self._send = send
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # free again however its block is left, by a signal too
        self._news = threading.Condition(self._lock)
        self._pending: Hint | None = None
        self._asleep = False
        self._hints = 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    def __call__(self, hint: Hint) -> None:
        if hint.heard or not (_is_urgent(hint) or self._is_watched()):
            return
        if self._process != os.getpid():  # the thread stayed with the parent, maybe with the lock
            self._begin()
        with self._lock:
            self._hints += 1
            is_first = self._pending is None
            if self._pending is None:
                self._pending = hint
            elif not _says(self._pending, hint):
                self._pending = joined(self._pending, hint)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jobpipe-notify", daemon=True)
                with suppress(RuntimeError):  # no thread to be had: a hint may be lost
                    thread.start()
                    self._thread = thread
                    atexit.register(self.close)  # a program that just ends has told all
            if self._asleep and (is_first or _is_urgent(hint)):  # else it looks before long
                self._news.notify()

    def close(self) -> None:
        """Send what waits, then end the thread."""
        atexit.unregister(self.close)
        if self._process != os.getpid():  # both belong to the parent
            return
        with self._lock:
            self._closing.set()
            self._news.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=2.0)

    def _is_watched(self) -> bool:
        return self._hub.is_watched_elsewhere

    def _is_due(self) -> bool:
        return self._pending is None or _is_urgent(self._pending) or self._closing.is_set()

    def _run(self) -> None:
        taken_at = time.monotonic()
        while True:
            with self._lock:
                self._asleep = True
                self._news.wait_for(lambda: self._pending is not None or self._closing.is_set())
                self._news.wait_for(self._is_due, CHANGES_SECONDS)
                self._asleep = False
                hint, self._pending = self._pending, None
                hints, self._hints = self._hints, 0
                if hint is None:
                    return
            # The store may be away or refuse: whoever listens looks by himself before long, and
            # only who watches what changes cannot find out.
            try:
                self._send(hint)
            except Exception:
                if hint.changes is not None and not self._closing.wait(RETRY_SECONDS):
                    self(Hint(changes=change.UNKNOWN))
            before, taken_at = taken_at, time.monotonic()
            self._closing.wait(pause_after(hints, taken_at - before))


def pause_after(hints: int, seconds: float) -> float:
    """Return how long to gather next, when so many hints have come in so many seconds."""
    is_crowd = hints >= CROWD and hints * INTERVAL_SECONDS >= CROWD * seconds
    return CROWDED_SECONDS if is_crowd else INTERVAL_SECONDS


def _is_urgent(hint: Hint) -> bool:
    """Tell whether it is for workers, and not only for those who watch."""
    return hint.is_look or hint.is_for_workers


def _says(one: Hint, other: Hint) -> bool:
    """Tell whether the first says already all that the second does."""
    if other.due_in_us is not None or other.control or other.changes or not other.lanes:
        return False
    if other.gates and not one.gates:
        return False
    return all(one.lanes.get(lane, rank + 1) <= rank for lane, rank in other.lanes.items())


def joined(one: Hint, other: Hint) -> Hint:
    """Return one hint that says what both say."""
    changes = one.changes or other.changes
    if one.changes is not None and other.changes is not None:
        changes = change.joined(one.changes, other.changes)
    lanes = dict(one.lanes)
    for lane, rank in other.lanes.items():
        lanes[lane] = min(rank, lanes.get(lane, rank))
    dues = [due for due in (one.due_in_us, other.due_in_us) if due is not None]
    return Hint(
        lanes,
        min(dues, default=None),
        one.control or other.control,
        one.gates or other.gates,
        changes=changes,
    )


def encode(hint: Hint, sender: str = "") -> str:
    """Return the message for a hint: as much of it as one message can hold."""
    if len(hint.lanes) > LANES_MAX:
        return "{}"
    for changes in _shorter(hint.changes):
        data = msgspec.json.encode(_message(hint, changes, sender))
        if len(data) <= BYTES_MAX:
            return data.decode()
    return "{}"


def decode(payload: str | None, own: str = "") -> Hint:
    """Return the hint of a message; one that makes no sense means "look".

    ``own`` is the sender whose changes are known without it.
    """
    try:
        message = msgspec.json.decode(payload or "{}", type=_Message)
        changes = NO_CHANGES if own and message.sender == own else _changes(message)
    except (msgspec.DecodeError, ValueError):
        return Hint(LOOK.lanes, heard=True)
    lanes = {Lane(queue, priority): rank for queue, priority, rank in message.lanes}
    return Hint(
        lanes, message.due_in_us, message.control, message.gates, heard=True, changes=changes
    )


class _Message(msgspec.Struct, omit_defaults=True):
    lanes: list[tuple[str, int, int]] = []
    due_in_us: int | None = None
    control: bool = False
    gates: bool = False
    sender: str = ""
    jobs: list[tuple[str, str, list[int]]] = []
    """Queue, state, ids: what jobs have in common is said once."""
    tallies: list[tuple[str, str, int]] = []
    paused: dict[str, bool] = {}
    complete: bool | None = None
    """None: it says nothing about changes."""


def _shorter(changes: Changes | None) -> list[Changes | None]:
    """Return what to say about changes, first all, then less and less."""
    if changes is None:
        return [None]
    return [changes, change.counted(changes), change.UNKNOWN]


def _message(hint: Hint, changes: Changes | None, sender: str) -> _Message:
    lanes = [(lane.queue, lane.priority, rank) for lane, rank in hint.lanes.items()]
    message = _Message(lanes, hint.due_in_us, hint.control, hint.gates)
    if changes is not None:
        jobs: dict[tuple[str, str], list[int]] = {}
        for job in changes.jobs:
            jobs.setdefault((job.queue, job.state), []).append(job.id)
        message.sender = sender
        message.jobs = [(queue, state, ids) for (queue, state), ids in jobs.items()]
        message.tallies = [(queue, state, n) for (queue, state), n in changes.tallies.items()]
        message.paused = dict(changes.paused)
        message.complete = changes.is_complete
    return message


def _changes(message: _Message) -> Changes | None:
    if message.complete is None:
        return None
    jobs = [Change(id, State(state), queue) for queue, state, ids in message.jobs for id in ids]
    tallies = {(queue, State(state)): n for queue, state, n in message.tallies}
    return Changes(tuple(jobs), tallies, message.paused, message.complete)
