"""The sync driver's connections: a stack of idle ones, shared by the threads of one process.

There is no thread of its own. An idle connection on which something can be read has been hung up
on, or told something we did not ask for: it is not used again. In a forked child the parent's
connections are never touched, not even closed, as that would end the parent's sessions.
"""

from __future__ import annotations

import os
import queue
import select
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from jobpipe.errors import StoreUnavailable

LONGEST_IDLE_SECONDS = 300.0
"""Older idle connections may have been forgotten by a firewall on the way."""
WAIT_SECONDS = 30.0

Connection = psycopg.Connection[dict[str, Any]]


@dataclass(slots=True, eq=False)
class Held:
    """A connection that is in use, or idle since a monotonic time."""

    connection: Connection
    generation: int
    idle_since: float = 0.0
    cursor: psycopg.RawCursor[tuple[Any, ...]] | None = None
    """Kept for the next statement, since making one costs as much as a tenth of a statement."""
    ear: select.poll | None = None
    """Tells what can be read without asking the connection for its number each time."""

    def has_input(self) -> bool:
        """Tell whether the server has hung up, or said something that nobody asked for."""
        if self.connection.closed:
            return True
        if self.ear is None:
            self.ear = select.poll()
            self.ear.register(self.connection.fileno(), select.POLLIN)
        return bool(self.ear.poll(0))


class Pool:
    """At most ``size`` connections for any number of threads."""

    def __init__(self, connect: Callable[[], Connection], size: int) -> None:
        self._connect = connect
        self._size = size
        self._inherited: list[Held] = []
        self._generation = 0
        self._begin()

    def take(self) -> Held:
        """Return a working connection; wait when all are in use."""
        if self._pid != os.getpid():
            self._inherited += self._idle  # kept, so that they are never closed from here
            self._end_at_exit.detach()
            self._begin()
        try:
            self._room.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise StoreUnavailable(
                f"all {self._size} connections were in use for {WAIT_SECONDS:.0f} s"
            ) from None
        try:
            return self._idle_one() or self._open()
        except BaseException:
            self._room.put(None)
            raise

    def give(self, held: Held) -> None:
        """Take back a connection for the next user."""
        connection = held.connection
        usable = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if usable and held.generation == self._generation:
            held.idle_since = time.monotonic()
            self._idle.append(held)
        else:
            hang_up(connection)
        self._room.put(None)

    def drop(self, held: Held) -> None:
        """End a connection that is of no more use."""
        hang_up(held.connection)
        self._room.put(None)

    def forget_idle(self) -> None:
        """Close every idle connection now, and those in use or being opened when they come back."""
        if self._pid == os.getpid():
            self._generation += 1
            _close_all(self._idle, self._pid)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(self._size):
            self._room.put(None)
        self._idle: list[Held] = []
        self._end_at_exit = weakref.finalize(self, _close_all, self._idle, self._pid)

    def _open(self) -> Held:
        generation = self._generation  # before: it may be forgotten meanwhile
        return Held(self._connect(), generation)

    def _idle_one(self) -> Held | None:
        while True:
            try:
                held = self._idle.pop()
            except IndexError:
                return None
            fresh = time.monotonic() - held.idle_since < LONGEST_IDLE_SECONDS
            if fresh and not held.has_input():
                return held
            hang_up(held.connection)


def hang_up(connection: Connection) -> None:
    """Close a connection, whatever state it is in."""
    with suppress(psycopg.Error, OSError):
        connection.close()


def _close_all(idle: list[Held], pid: int) -> None:
    while pid == os.getpid():
        try:
            held = idle.pop()
        except IndexError:
            return
        hang_up(held.connection)
