"""A page of memory that a child writes and its supervisor reads, also after the child's death.

It holds the child's pulse, counters, and which slot runs what; and when the lease was renewed,
by either of them. Behind it, in the same anonymous file, the child's stacks are dumped.
All times are nanoseconds of the monotonic clock, which the processes of a host share.
"""

from __future__ import annotations

import mmap
import os
from time import monotonic_ns  # bound here: a task that replaces time.monotonic_ns stops no pulse

SLOTS_MAX = 10_000
_PULSE, _STARTED, _FINISHED, _RENEWED, _LATE = range(5)
_ENTRIES = 8
_WORDS = _ENTRIES + 3 * SLOTS_MAX
SIZE = -(-_WORDS * 8 // mmap.PAGESIZE) * mmap.PAGESIZE

Key = tuple[int, int]


class Page:
    """The page, seen from either side."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, SIZE)
        self._words = memoryview(self._map).cast("q")
        self._dumped = SIZE

    @classmethod
    def create(cls) -> Page:
        """Make an empty page in a file that has no name."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("jobpipe-worker")
        else:
            import tempfile

            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, SIZE)
        os.lseek(descriptor, SIZE, os.SEEK_SET)
        return cls(descriptor)

    def close(self) -> None:
        self._words.release()
        self._map.close()
        os.close(self.descriptor)

    def beat(self) -> None:
        """The child is alive."""
        self._words[_PULSE] = monotonic_ns()

    @property
    def pulse(self) -> int:
        return self._words[_PULSE]

    def begin(self, slot: int, key: Key) -> None:
        """The slot starts to run the job; the id is written last, since it makes the entry."""
        words, at = self._words, _ENTRIES + 3 * slot
        words[_STARTED] += 1
        words[at + 1] = key[1]
        words[at + 2] = monotonic_ns()
        words[at] = key[0]

    def end(self, slot: int) -> None:
        """What the slot ran has ended; its entry stays, marked, until the slot runs another."""
        words, at = self._words, _ENTRIES + 3 * slot
        words[at] = -words[at]
        words[_FINISHED] += 1

    @property
    def counts(self) -> tuple[int, int]:
        """How many runs were started, and how many of them ended."""
        return self._words[_STARTED], self._words[_FINISHED]

    def running(self) -> dict[Key, int]:
        """Return the (job, token) of every run that has not ended, with when it was started."""
        words = self._words
        entries = range(_ENTRIES, _WORDS, 3)
        return {(words[at], words[at + 1]): words[at + 2] for at in entries if words[at] > 0}

    def ended(self) -> set[Key]:
        """Return the (job, token) of the last run of each slot that has ended."""
        words = self._words
        return {(-words[at], words[at + 1]) for at in range(_ENTRIES, _WORDS, 3) if words[at] < 0}

    def renewed(self, at: float, late: float) -> None:
        """The lease was renewed; ``late`` is when a renewal was last late. The latest counts."""
        for word, moment in ((_RENEWED, at), (_LATE, late)):
            if moment * 1e9 > self._words[word]:
                self._words[word] = round(moment * 1e9)

    @property
    def renewed_at(self) -> float:
        return self._words[_RENEWED] / 1e9

    @property
    def late_at(self) -> float:
        return self._words[_LATE] / 1e9

    def new_dump(self) -> str:
        """Return what was dumped since the last call."""
        parts = []
        while part := os.pread(self.descriptor, 65_536, self._dumped):
            self._dumped += len(part)
            parts.append(part)
        return b"".join(parts).decode(errors="replace")
