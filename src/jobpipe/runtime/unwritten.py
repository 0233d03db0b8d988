"""What jobs have said and nobody has written yet; safe in any thread, bounded.

Of an attempt's progresses and of its states only the newest waits. Each attempt is owed what it
has said until that is paid: written, or refused for good.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from jobpipe.model.report import Checkpoint, LogLine, Progress

BATCH_ITEMS = 1_000
BATCH_BYTES = 1024 * 1024
"""Most lines, progresses or states that are taken at once, and most bytes (or one alone)."""

WAITING_LINES = 100_000
WAITING_BYTES = 64 * 1024 * 1024
"""Most lines of all jobs that may wait, and most bytes of them."""

Key: TypeAlias = tuple[int, int]
"""(job id, token): an attempt."""

Said: TypeAlias = LogLine | Progress | Checkpoint


class Unwritten:
    """The lines in their order, and the newest progress and state of each attempt."""

    def __init__(self) -> None:
        # A finalizer may log in the middle of anything, also of this.
        self._lock = threading.RLock()
        self._lines: deque[LogLine] = deque()
        self._bytes = 0
        self._dropped = 0
        self._progress: dict[Key, Progress] = {}
        self._states: dict[Key, Checkpoint] = {}
        self._owed: dict[Key, int] = {}

    @property
    def lines(self) -> int:
        """How many lines wait."""
        return len(self._lines)

    @property
    def is_paid(self) -> bool:
        """Tell whether nothing is owed to anybody."""
        return not self._owed

    def is_owed(self, key: Key) -> bool:
        """Tell whether something that the attempt has said is not written yet."""
        return key in self._owed

    def add_line(self, line: LogLine) -> None:
        """Let a line wait; one for which there is no room is counted."""
        size = _size(line)
        with self._lock:
            if len(self._lines) >= WAITING_LINES or self._bytes + size > WAITING_BYTES:
                self._dropped += 1
            else:
                self._lines.append(line)
                self._bytes += size
                self._owe(key_of(line))

    def add_progress(self, progress: Progress) -> None:
        """Let it wait in the place of what the attempt said before."""
        key = key_of(progress)
        with self._lock:
            if key not in self._progress:
                self._owe(key)
            self._progress[key] = progress

    def add_state(self, state: Checkpoint) -> None:
        """Let it wait in the place of what the attempt saved before."""
        key = key_of(state)
        with self._lock:
            if key not in self._states:
                self._owe(key)
            self._states[key] = state

    def take_lines(self) -> list[LogLine]:
        """Return the first lines that fit into one statement."""
        taken: list[LogLine] = []
        room = BATCH_BYTES
        with self._lock:
            while self._lines and len(taken) < BATCH_ITEMS:
                size = _size(self._lines[0])
                if taken and size > room:
                    break
                room -= size
                self._bytes -= size
                taken.append(self._lines.popleft())
        return taken

    def take_progress(self, of: Iterable[Key] | None) -> list[Progress]:
        """Return what these attempts said last; None: all of them."""
        with self._lock:
            keys = list(self._progress) if of is None else of
            return [self._progress.pop(key) for key in keys if key in self._progress]

    def take_states(self, of: Iterable[Key] | None) -> list[Checkpoint]:
        """Return what these attempts saved last; None: all of them."""
        with self._lock:
            keys = list(self._states) if of is None else of
            return [self._states.pop(key) for key in keys if key in self._states]

    def take_dropped(self) -> int:
        """Return how many lines found no room since the last time."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def pay(self, said: Sequence[Said]) -> set[Key]:
        """Note that this is settled; returns the attempts to which nothing more is owed."""
        paid: set[Key] = set()
        with self._lock:
            for each in said:
                key = key_of(each)
                owed = self._owed.get(key, 0) - 1
                if owed > 0:
                    self._owed[key] = owed
                elif self._owed.pop(key, None) is not None:
                    paid.add(key)
        return paid

    def _owe(self, key: Key) -> None:
        self._owed[key] = self._owed.get(key, 0) + 1


def key_of(said: Said) -> Key:
    """Return the attempt that said it."""
    return (said.job_id, said.token)


def in_statements(states: Sequence[Checkpoint]) -> list[list[Checkpoint]]:
    """Divide states into parts that fit into one statement each."""
    parts: list[list[Checkpoint]] = []
    room = 0
    for state in states:
        size = len(state.state)
        if not parts or size > room or len(parts[-1]) >= BATCH_ITEMS:
            parts.append([])
            room = BATCH_BYTES
        room -= size
        parts[-1].append(state)
    return parts


def _size(line: LogLine) -> int:
    return len(line.message) + len(line.fields or "") + 100
