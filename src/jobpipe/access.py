"""An application's way to its store: opened on first use, schema brought up to date once.

Operations run on our own connections, or (``on``) on a caller's, where they stand or fall with
the caller's transaction.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TypeVar

from jobpipe import bootstrap
from jobpipe.bootstrap import Backend
from jobpipe.clock import Clock
from jobpipe.config.settings import Settings
from jobpipe.delivery.hub import Hub
from jobpipe.model.job import Lane
from jobpipe.store import callers
from jobpipe.store.port import Operation

T = TypeVar("T")


class Access:
    """Runs operations for one application; safe to use from many threads and after a fork."""

    def __init__(self, settings: Settings, hub: Hub, clock: Clock | None = None) -> None:
        self._settings = settings
        self._hub = hub
        self._clock = clock
        self._gate = threading.RLock()
        self._backend: Backend | None = None
        self._is_current = False
        self.known_lanes: frozenset[Lane] = frozenset()
        """Lanes that are sure to be in the store."""
        self._process = os.getpid()

    def backend(self) -> Backend:
        """Return the wired store, without touching it; raises ConfigError."""
        if self._process != os.getpid():  # locks held by other threads were not inherited free
            self._gate, self._process = threading.RLock(), os.getpid()
        with self._gate:
            if self._backend is None:
                self._backend = bootstrap.connect(self._settings, self._hub, self._clock)
            return self._backend

    def opened(self) -> Backend:
        """Return the store, its schema up to date; raises ConfigError, StoreUnavailable."""
        backend = self.backend()
        if not self._is_current:
            backend.store.migrate()
            self._is_current = True
        return backend

    async def aopened(self) -> Backend:
        """Return the store like ``opened``, without blocking the loop."""
        if self._is_current:
            return self.backend()
        return await asyncio.to_thread(self.opened)

    def run(self, operation: Operation[T]) -> T:
        """Run an operation on a connection of our own."""
        return self.opened().store.run(operation)

    async def arun(self, operation: Operation[T]) -> T:
        """Run an operation on a connection of our own, without blocking the loop."""
        backend = self.backend() if self._is_current else await self.aopened()
        return await backend.async_store.run(operation)

    def run_on(self, connection: object, operation: Operation[T]) -> T:
        """Run an operation in the transaction of the caller's connection."""
        caller = callers.blocking(connection)
        grounds = self.opened().grounds
        ground = grounds.of(caller)
        if not grounds.is_known(connection):
            is_ours = caller.same_store(connection, ground.expected, ground.statements)
            grounds.check(connection, is_ours)
        return caller.run(connection, operation, ground.statements, ground.clock)

    async def arun_on(self, connection: object, operation: Operation[T]) -> T:
        """Run an operation in the transaction of the caller's async connection."""
        caller = callers.awaited(connection)
        grounds = (await self.aopened()).grounds
        ground = await asyncio.to_thread(grounds.of, caller)
        if not grounds.is_known(connection):
            is_ours = await caller.same_store(connection, ground.expected, ground.statements)
            grounds.check(connection, is_ours)
        return await caller.run(connection, operation, ground.statements, ground.clock)

    def close(self) -> None:
        """Close every connection; the next use opens them again."""
        with self._gate:
            backend = self._forget()
        if backend is not None:
            backend.close()

    async def aclose(self) -> None:
        """Close every connection, also those of this loop."""
        with self._gate:
            backend = self._forget()
        if backend is not None:
            await backend.async_store.close()
            await asyncio.to_thread(backend.close)

    def _forget(self) -> Backend | None:
        """What the next use opens may be another store: nothing that was learnt counts for it."""
        backend, self._backend, self._is_current = self._backend, None, False
        self.known_lanes = frozenset()
        return backend
