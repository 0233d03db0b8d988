"""One end of the socket between a supervisor and a child: whole messages in, whole messages out.

Nothing blocks: what the other end does not take at once waits here, bounded.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

PENDING_MAX = 4 * 1024 * 1024
"""Bytes that may wait to be sent; an end that does not read so long misses what comes then."""

ORPHANED = 137
"""Exit code of a child whose supervisor has died, where the kernel did not kill it."""

T = TypeVar("T")


class Link(Generic[T]):
    """Sends any message; hands those that arrive, of type ``T``, to ``receive``."""

    def __init__(
        self,
        end: socket.socket,
        decoder: msgspec.json.Decoder[T],
        receive: Callable[[T], None],
        closed: Callable[[], None],
    ) -> None:
        self._socket = end
        self._decoder = decoder
        self._receive = receive
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._incoming = b""
        self._pending = b""
        end.setblocking(False)
        self._loop.add_reader(end, self.read)

    def send(self, message: Struct) -> None:
        """Send the message, now or as soon as the other end takes it; on the loop's thread."""
        if len(self._pending) < PENDING_MAX:
            self._pending += msgspec.json.encode(message) + b"\n"
            self._flush()

    def read(self) -> None:
        """Take in everything that has arrived."""
        while True:
            try:
                part = self._socket.recv(65_536)
            except BlockingIOError:
                return
            except OSError:
                part = b""
            if not part:
                self._loop.remove_reader(self._socket)
                self._closed()
                return
            *lines, self._incoming = (self._incoming + part).split(b"\n")
            self._incoming = self._incoming[:PENDING_MAX]
            for line in lines:
                with suppress(msgspec.DecodeError):  # a job's own code has written to the socket
                    self._receive(self._decoder.decode(line))

    def close(self) -> None:
        """Close this end; twice is fine."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _flush(self) -> None:
        if self._socket.fileno() < 0:
            return
        with suppress(BlockingIOError):
            try:
                while self._pending:
                    self._pending = self._pending[self._socket.send(self._pending) :]
            except (BrokenPipeError, ConnectionResetError):
                self._pending = b""  # the other end is gone, and its end is seen elsewhere
        if self._pending:
            self._loop.add_writer(self._socket, self._flush)
        else:
            self._loop.remove_writer(self._socket)


def read_line(end: socket.socket, seconds: float) -> bytes:
    """Wait for one line, before there is a loop; what follows it is left in the socket.

    The process ends when the supervisor has.
    """
    end.settimeout(seconds)
    line = b""
    while not line.endswith(b"\n"):
        part = end.recv(1)
        if not part:
            raise SystemExit(ORPHANED)
        line += part
    return line
