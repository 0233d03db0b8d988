"""Sends hints to other processes by NOTIFY, gathered: at most one message an interval.

Never inside a transaction that stores jobs: a notification there would make commits wait for
each other. A message that is lost costs its reader one poll.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from jobpipe.delivery.hub import LOOK, Hint
from jobpipe.model.job import Lane

INTERVAL_SECONDS = 0.005
CROWD, CROWDED_SECONDS = 10, 0.02
"""After this many hints in one interval the next one is longer: where so much is stored, whoever
listens is busy, and each message costs as much as storing a job."""
LANES_MAX = 50
"""Most lanes named in a message (PostgreSQL allows 8,000 bytes); beyond it, it says "look"."""


class NotifySender:
    """A hub's subscriber that passes on what did not come from outside."""

    def __init__(self, send: Callable[[str], None]) -> None:
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
        if hint.heard:
            return
        if self._process != os.getpid():  # the thread stayed with the parent, maybe with the lock
            self._begin()
        with self._lock:
            self._hints += 1
            if self._pending is None:
                self._pending = hint
            elif not _says(self._pending, hint):
                self._pending = joined(self._pending, hint)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jobpipe-notify", daemon=True)
                with suppress(RuntimeError):  # no thread to be had: a hint may be lost
                    thread.start()
                    self._thread = thread
            if self._asleep:  # else it looks by itself when the interval has passed
                self._news.notify()

    def close(self) -> None:
        """Send what waits, then end the thread."""
        with self._lock:
            self._closing.set()
            self._news.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=2.0)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._asleep = True
                while self._pending is None and not self._closing.is_set():
                    self._news.wait()
                self._asleep = False
                hint, self._pending = self._pending, None
                hints, self._hints = self._hints, 0
                if hint is None:
                    return
            # The store may be away or refuse: whoever listens looks by himself before long.
            with suppress(Exception):
                self._send(encode(hint))
            self._closing.wait(CROWDED_SECONDS if hints >= CROWD else INTERVAL_SECONDS)


def _says(one: Hint, other: Hint) -> bool:
    """Tell whether the first says already all that the second does."""
    if other.due_in_us is not None or other.control or not other.lanes:
        return False
    return all(one.lanes.get(lane, rank + 1) <= rank for lane, rank in other.lanes.items())


def joined(one: Hint, other: Hint) -> Hint:
    """Return one hint that says what both say."""
    if not one.is_look:
        one, other = other, one
    lanes = dict(one.lanes)
    for lane, rank in other.lanes.items():
        lanes[lane] = min(rank, lanes.get(lane, rank))
    dues = [due for due in (one.due_in_us, other.due_in_us) if due is not None]
    return Hint(lanes, min(dues, default=None), one.control or other.control)


def encode(hint: Hint) -> str:
    """Return the message for a hint."""
    if len(hint.lanes) > LANES_MAX:
        return "{}"
    lanes = [(lane.queue, lane.priority, rank) for lane, rank in hint.lanes.items()]
    message = {"lanes": lanes, "due_in_us": hint.due_in_us, "control": hint.control}
    data = msgspec.json.encode(message)
    return data.decode() if len(data) < 8_000 else "{}"


def decode(payload: str | None) -> Hint:
    """Return the hint of a message; one that makes no sense means "look"."""
    try:
        message = msgspec.json.decode(payload or "{}", type=_Message)
    except msgspec.DecodeError:
        return Hint(LOOK.lanes, heard=True)
    lanes = {Lane(queue, priority): rank for queue, priority, rank in message.lanes}
    return Hint(lanes, message.due_in_us, message.control, heard=True)


class _Message(msgspec.Struct):
    lanes: list[tuple[str, int, int]] = []
    due_in_us: int | None = None
    control: bool = False
