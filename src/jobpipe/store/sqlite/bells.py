"""Bells by which processes on one machine wake each other: datagram sockets beside the database.

A ring says only "look now". It may be lost, and nobody waits for it: whoever has a bell looks by
himself too, only less often. Where there can be none (a path too long for a socket, a file system
without them) there is none.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

ENDING = ".bell"


class Bell:
    """A socket of our own on which others ring."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where there can be none."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = str(folder / f"{secrets.token_hex(4)}{ENDING}")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(self._path)
        except OSError:
            self._socket.close()
            raise

    def wait(self, seconds: float) -> bool:
        """Return when somebody rings, or after so many seconds; tell whether somebody did."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1)
        except TimeoutError:
            return False
        return True

    def take_down(self) -> None:
        """Let nobody ring any more; twice is fine."""
        with suppress(OSError):
            os.unlink(self._path)

    def close(self) -> None:
        self.take_down()
        self._socket.close()


class Bells:
    """All bells of one database."""

    def __init__(self, database: str) -> None:
        self._folder = Path(f"{os.path.abspath(database)}-workers")

    def hang(self) -> Bell | None:
        """Return a bell of our own; None where there can be none."""
        try:
            return Bell(self._folder)
        except OSError:
            return None

    def ring(self) -> None:
        """Ring all that hang there, and clear away those whose process is gone."""
        try:
            names = [name for name in os.listdir(self._folder) if name.endswith(ENDING)]
        except OSError:
            return
        if not names:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ringer:
            ringer.setblocking(False)
            for name in names:
                path = str(self._folder / name)
                try:
                    ringer.sendto(b"!", path)
                except ConnectionRefusedError:
                    with suppress(OSError):
                        os.unlink(path)
                except OSError:
                    continue  # it rings already, or belongs to somebody else
