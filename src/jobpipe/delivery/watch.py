"""Watches SQLite's ``data_version``: any commit by another connection is a hint to look.

Who has a bell looks when it rings, and by himself only now and then, for those who do not ring.
Who watches what changes has an ear, to which others tell it; without one he hears only that
something has changed.
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
EAR_SECONDS = 0.2
"""How long an ear listens before its thread looks whether it shall go on."""
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


class Ear(Protocol):
    """Takes what other processes tell."""

    def hear(self, seconds: float) -> str | None: ...

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


class ChangeWatcher:
    """Hears what other processes tell of changes, on a thread of its own."""

    def __init__(
        self,
        open_probe: Callable[[], Probe],
        heard: Callable[[str | None], None],
        listen: Callable[[], Ear | None],
    ) -> None:
        """``heard`` receives each message, None where something changed and nobody told what."""
        self._open_probe = open_probe
        self._heard = heard
        self._listen = listen
        self._stop = threading.Event()
        self._ear: Ear | None = None
        self._thread = threading.Thread(target=self._run, name="jobpipe-ear", daemon=True)

    async def start(self) -> None:
        self._ear = self._listen()
        self._thread.start()

    async def stop(self) -> None:
        """End the thread; it notices within a fifth of a second."""
        self._stop.set()
        if self._ear is not None:
            self._ear.take_down()

    def _run(self) -> None:
        while not self._stop.is_set():
            # What fails is begun anew; what was missed meanwhile is told as unknown.
            with suppress(Exception):
                self._hear() if self._ear is not None else self._watch()
            if not self._stop.wait(AFTER_FAILURE_SECONDS):
                self._heard(None)
        if self._ear is not None:
            self._ear.close()

    def _hear(self) -> None:
        while not self._stop.is_set() and self._ear is not None:
            if (words := self._ear.hear(EAR_SECONDS)) is not None:
                self._heard(words)

    def _watch(self) -> None:
        with closing(self._open_probe()) as probe:
            while not self._stop.wait(INTERVAL_SECONDS):
                if probe.has_changed():
                    self._heard(None)
