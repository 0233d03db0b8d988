"""Tells a service manager (systemd) how we are, if it asked to be told."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from jobpipe.config.service import ServiceManager

STATUS_SECONDS = 1.0


class Notifier:
    """Sends states; each that is repeated is sent only when it has changed or is due."""

    def __init__(self, manager: ServiceManager | None) -> None:
        self._manager = manager
        self._socket: socket.socket | None = None
        self._status = ""
        self._status_at = 0.0
        self._is_ready = False
        self._watched_at = float("-inf")
        if manager is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def ready(self) -> None:
        """All workers are ready."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, line: str) -> None:
        now = time.monotonic()
        if line != self._status and now - self._status_at >= STATUS_SECONDS:
            self._status, self._status_at = line, now
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """All is well: keep the watchdog quiet, at half its interval."""
        seconds = self._manager.watchdog_seconds if self._manager else None
        now = time.monotonic()
        # A look comes every quarter of a second at least, so one before the half is in time.
        if seconds is not None and now - self._watched_at >= seconds / 2 - 0.25:
            self._watched_at = now
            self._send("WATCHDOG=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _send(self, state: str) -> None:
        if self._socket is None or self._manager is None:
            return
        address = self._manager.address
        if address.startswith("@"):
            address = "\0" + address[1:]
        with suppress(OSError):  # a manager that does not listen misses it
            self._socket.sendto(state.encode(), address)
