"""Renews a worker's lease from a thread of its own, on a connection of its own.

A busy event loop or an exhausted pool therefore never looks like death. But a loop that has not
ticked for ``pulse_seconds`` is stuck: its stacks are dumped and the lease is left to end, so that
others take over its jobs (a supervised worker is watched by its supervisor instead, where this
thread runs too). The worker hears ``doubtful`` when its lease may have run out (by its
own monotonic clock, before the store's) and ``lost`` when the store has taken it away.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Mapping

from jobpipe.failpoint import failpoint
from jobpipe.model.job import Lane
from jobpipe.store.ops.worker import renew
from jobpipe.store.port import Store
from jobpipe.telemetry.events import LoopBlocked, StoreLost, emit

RENEWALS_PER_LEASE = 4
MARGIN_SHARE = 0.25
"""Share of the lease before whose end a worker that could not renew stops its work."""

RETRY_SECONDS = 0.2
JOIN_SECONDS = 2.0


class Heartbeat:
    """A thread that renews; ``lost`` and ``doubtful`` are called on it."""

    def __init__(
        self,
        store: Store,
        worker_id: int,
        name: str,
        lease_seconds: float,
        *,
        lost: Callable[[], None],
        doubtful: Callable[[], None],
        frontier: Callable[[], Mapping[Lane, int]],
        pulse_seconds: float | None = None,
        note: Callable[[float, float], None] | None = None,
    ) -> None:
        """``note`` receives when a renewal last began, and when one last was late (monotonic)."""
        self._store = store
        self._worker_id = worker_id
        self._name = name
        self._lease = lease_seconds
        self._lost = lost
        self._doubtful = doubtful
        self._frontier = frontier
        self._pulse_seconds = pulse_seconds
        self._note = note
        self.is_failing = False
        """The last renewal failed: the store is away."""
        self._stop = threading.Event()
        self._renewed = self._ticked = time.monotonic()
        # Before us all may have waited for one lock: who has just begun cannot know, and must not
        # take a lease for ended that nobody could renew.
        is_new_to_locks = store.capabilities.exclusive_writer
        self._late = time.monotonic() if is_new_to_locks else float("-inf")
        self._thread = threading.Thread(target=self._run, name="jobpipe-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, waiting a little for a renewal that is under way; twice is fine."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)

    def tick(self) -> None:
        """Note that the event loop is alive."""
        self._ticked = time.monotonic()

    def was_late(self) -> bool:
        """Tell whether a renewal is late now, or was within the last lease.

        Then the store may have been blocked for everybody, and others' leases that look ended
        are given one full lease more.
        """
        now = time.monotonic()
        overdue = now - self._renewed > 2 * self._lease / RENEWALS_PER_LEASE
        return overdue or now - self._late < self._lease

    def _run(self) -> None:
        interval = self._lease / RENEWALS_PER_LEASE
        wait = interval
        while not self._stop.wait(wait):
            blocked = time.monotonic() - self._ticked
            if self._pulse_seconds is not None and blocked > self._pulse_seconds:
                emit(LoopBlocked(worker=self._name, seconds=blocked))
                faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
                self._lost()
                return
            wait = interval if self._renew(interval) else min(RETRY_SECONDS, interval)

    def _renew(self, interval: float) -> bool:
        renewed = self._ask(interval)
        self.is_failing = not renewed
        if self._note is not None:
            self._note(self._renewed, self._late)
        return renewed

    def _ask(self, interval: float) -> bool:
        began = time.monotonic()
        if began - self._renewed > 2 * interval:
            self._late = began
        watchdog: threading.Timer | None = None
        try:
            watchdog = self._watch_margin()
            failpoint("heartbeat.renew")
            alive = self._store.run(
                renew(self._worker_id, round(self._lease * 1e6), self._frontier())
            )
        except Exception as error:  # whatever it is, a thread that ended would end the lease
            if not self.is_failing:  # once an outage: a full disk should not be filled by its log
                emit(StoreLost(doing="renewing the lease", why=str(error)))
            return False
        finally:
            if watchdog is not None:
                watchdog.cancel()
        if not alive:
            self._stop.set()
            self._lost()
            return True
        if time.monotonic() - began > interval:
            self._late = time.monotonic()
        self._renewed = began
        return True

    def _watch_margin(self) -> threading.Timer | None:
        """Say in time that the lease is in doubt, also while the renewal itself hangs.

        Where writers exclude each other nobody could sweep while we wait for the lock.
        """
        if self._store.capabilities.exclusive_writer:
            return None
        left = self._renewed + self._lease * (1 - MARGIN_SHARE) - time.monotonic()
        if left <= 0:
            self._doubtful()
            return None
        timer = threading.Timer(left, self._doubtful)
        timer.daemon = True
        timer.start()
        return timer
