"""What a supervisor does for one incarnation of a child: it renews the lease, it holds the lock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from jobpipe.model.job import Lane
from jobpipe.runtime.heartbeat import Heartbeat
from jobpipe.runtime.options import LivenessLock, WatchKit
from jobpipe.runtime.supervisor.messages import Hello, Lost
from jobpipe.runtime.supervisor.process import ChildProcess


class Watch:
    """Keeps one lease from its making to ``end``; the lock is held until ``unlock``."""

    def __init__(self, kit: WatchKit, child: ChildProcess, hello: Hello) -> None:
        self._child = child
        self._worker_id = hello.worker_id
        self._loop = asyncio.get_running_loop()
        self._frontier: Mapping[Lane, int] = {}
        store, self._close = kit.heartbeat()
        self._lock: LivenessLock | None = kit.locks.hold(hello.worker_id) if kit.locks else None
        self._heartbeat = Heartbeat(
            store,
            hello.worker_id,
            hello.name,
            hello.facts.lease_seconds,
            lost=lambda: self._tell("the store has taken it away"),
            doubtful=_leave_to_child,
            frontier=lambda: self._frontier,
            note=self._note,
        )
        self._heartbeat.start()

    @property
    def is_failing(self) -> bool:
        """The store could not be reached at the last renewal."""
        return self._heartbeat.is_failing

    def publish(self, ranks: list[tuple[str, int, int]]) -> None:
        """Publish this frontier with the next renewal."""
        self._frontier = {Lane(queue, priority): rank for queue, priority, rank in ranks}

    def end(self) -> None:
        """Renew no more; waits a little for a renewal that is under way."""
        self._heartbeat.stop()
        self._close()

    def unlock(self) -> None:
        """Let others see that the worker is gone."""
        if self._lock is not None:
            self._lock.remove()
            self._lock = None

    def _note(self, renewed: float, late: float) -> None:
        with suppress(ValueError):  # the page of a dead child is closed
            self._child.page.renewed(renewed, late)

    def _tell(self, why: str) -> None:
        with suppress(RuntimeError):  # the loop may be closed by now
            self._loop.call_soon_threadsafe(self._child.send, Lost(self._worker_id, why))


def _leave_to_child() -> None:
    """A child sees on its page how old its lease is, and may renew it where we cannot."""
