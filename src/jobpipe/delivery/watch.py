"""Watches SQLite's ``data_version``: any commit by another connection is a hint to look.

Who has a bell looks when it rings, and by himself only now and then, for those who do not ring.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Protocol

INTERVAL_SECONDS = 0.005
"""Between two looks without a bell."""
BELL_SECONDS = 0.05
"""Between two looks with one: who stores on a connection of his own does not ring."""
AFTER_FAILURE_SECONDS = 1.0


class Probe(Protocol):
    """Tells whether something was committed since the last question."""

    def has_changed(self) -> bool: ...

    def close(self) -> None: ...


class Bell(Protocol):
    """Rung by other processes after a commit."""

    def wait(self, seconds: float) -> bool: ...

    def take_down(self) -> None: ...

    def close(self) -> None: ...


class Watcher:
    """Asks the probe again and again on a thread of its own."""

    def __init__(
        self,
        open_probe: Callable[[], Probe],
        look: Callable[[], None],
        hang_bell: Callable[[], Bell | None],
    ) -> None:
        self._open_probe = open_probe
        self._look = look
        self._hang_bell = hang_bell
        self._bell: Bell | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobpipe-watcher", daemon=True)

    async def start(self) -> None:
        self._bell = self._hang_bell()
        self._thread.start()

    async def stop(self) -> None:
        """End the thread; it wakes every twentieth of a second and notices."""
        self._stop.set()
        if self._bell is not None:
            self._bell.take_down()

    def _run(self) -> None:
        while not self._stop.is_set():
            # A probe that fails is opened anew; until then the worker's poll finds the jobs.
            with suppress(Exception):
                self._watch()
            self._stop.wait(AFTER_FAILURE_SECONDS)
        if self._bell is not None:
            self._bell.close()

    def _watch(self) -> None:
        with closing(self._open_probe()) as probe:
            while not self._stop.is_set():
                is_rung = self._wait()
                if probe.has_changed() or is_rung:
                    self._look()

    def _wait(self) -> bool:
        """Wait for the next look; tell whether somebody rang."""
        if self._bell is not None:
            return self._bell.wait(BELL_SECONDS)
        self._stop.wait(INTERVAL_SECONDS)
        return False
