"""What a process writes to its standard output or error, read as it comes and never all kept.

The lines of one stretch (an attempt) are told up to a bound; beyond it bytes are only counted,
so that the writer is never blocked and the memory never grows.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

TOLD_MAX = 256 * 1024
"""Most bytes of one stretch that are told as lines."""

LINE_MAX = 4_096
"""Longest line that is told, in bytes; a longer one is told in pieces."""

READ_MAX = 64 * 1024
READ_AT_END_MAX = 4 * 1024 * 1024
"""Most bytes that are read at the end of a stretch; somebody may write without end."""

Tell = Callable[[str], None]


class Output:
    """One pipe from a process; made on the loop that reads it."""

    def __init__(self, keep: int = 16 * 1024) -> None:
        self._loop = asyncio.get_running_loop()
        self._read, self.write = os.pipe()
        os.set_blocking(self._read, False)
        self._keep = keep
        self._tail = b""
        self._rest = b""
        self._told = 0
        self._dropped = 0
        self._tell: Tell | None = None
        self._is_open = True
        self._loop.add_reader(self._read, self._take)

    @property
    def tail(self) -> str:
        """The end of what was written in this stretch."""
        return _text(self._tail[-self._keep :])

    def close_write(self) -> None:
        """The process has its own end of the pipe by now."""
        if self.write >= 0:
            os.close(self.write)
            self.write = -1

    def begin(self, tell: Tell) -> None:
        """Begin a stretch; what came before it is dropped."""
        self._read_all()
        self._tail = self._rest = b""
        self._told = self._dropped = 0
        self._tell = tell

    def end(self) -> None:
        """End a stretch: tell what is there already, and how much was dropped."""
        self._read_all()
        tell, self._tell = self._tell, None
        if tell is None:
            return
        if self._rest:
            tell(_text(self._rest))
        if self._dropped:
            tell(f"... {self._dropped} bytes more were written and not kept")
        self._rest = b""

    def close_when_read(self) -> None:
        """Read what is there, then no more: the process has ended."""
        self._read_all()
        self.close()

    def close(self) -> None:
        """Read no more; twice is fine."""
        self.close_write()
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._read)
            os.close(self._read)

    def _read_all(self) -> None:
        left = READ_AT_END_MAX
        while left > 0 and (size := self._take()):
            left -= size

    def _take(self) -> int:
        if not self._is_open:
            return 0
        try:
            data = os.read(self._read, READ_MAX)
        except BlockingIOError:
            return 0
        if not data:
            self.close()
            return 0
        self._tail = (self._tail + data)[-max(self._keep, READ_MAX) :]
        if self._tell is not None:
            self._tell_lines(data, self._tell)
        return len(data)

    def _tell_lines(self, data: bytes, tell: Tell) -> None:
        if self._told >= TOLD_MAX:
            self._dropped += len(data)
            return
        self._told += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            for start in range(0, len(line) or 1, LINE_MAX):
                tell(_text(line[start : start + LINE_MAX]))
        while len(self._rest) > LINE_MAX:
            tell(_text(self._rest[:LINE_MAX]))
            self._rest = self._rest[LINE_MAX:]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace").rstrip("\r").replace("\x00", "\\x00")
