"""Watches SQLite's ``data_version``: any commit by another connection is a hint to look."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Protocol

INTERVAL_SECONDS = 0.005
AFTER_FAILURE_SECONDS = 1.0


class Probe(Protocol):
    """Tells whether something was committed since the last question."""

    def has_changed(self) -> bool: ...

    def close(self) -> None: ...


class Watcher:
    """Asks the probe again and again on a thread of its own."""

    def __init__(self, open_probe: Callable[[], Probe], look: Callable[[], None]) -> None:
        self._open_probe = open_probe
        self._look = look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobpipe-watcher", daemon=True)

    async def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """End the thread; it wakes every few milliseconds and notices."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            # A probe that fails is opened anew; until then the worker's poll finds the jobs.
            with suppress(Exception):
                self._watch()
            self._stop.wait(AFTER_FAILURE_SECONDS)

    def _watch(self) -> None:
        with closing(self._open_probe()) as probe:
            while not self._stop.wait(INTERVAL_SECONDS):
                if probe.has_changed():
                    self._look()
