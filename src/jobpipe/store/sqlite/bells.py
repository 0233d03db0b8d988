"""Bells by which processes on one machine wake each other: datagram sockets beside the database.

A ring says only "look now". It may be lost, and nobody waits for it: whoever has a bell looks by
himself too, only less often. An ear is a bell that takes words: what has changed. Where there can
be none (a path too long for a socket, a file system without them) there is none.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

ENDING, EAR = ".bell", ".ear"

WORDS_MAX = 8_000
"""Most bytes of what is told."""
TELL_SECONDS = 0.2
"""How long words wait for an ear that is full."""


class Bell:
    """A socket of our own on which others ring, or to which they tell something."""

    def __init__(self, folder: Path, ending: str = ENDING) -> None:
        """Raises OSError where there can be none."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = str(folder / f"{secrets.token_hex(4)}{ending}")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(self._path)
        except OSError:
            self._socket.close()
            raise

    def wait(self, seconds: float) -> bool:
        """Return when somebody rings, or after so many seconds; tell whether somebody did."""
        return self.hear(seconds) is not None

    def hear(self, seconds: float) -> str | None:
        """Return what somebody tells, None after so many seconds of silence."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(WORDS_MAX).decode()
        except TimeoutError:
            return None

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

    def listen(self) -> Bell | None:
        """Return an ear of our own; None where there can be none."""
        try:
            return Bell(self._folder, EAR)
        except OSError:
            return None

    def ring(self) -> None:
        """Ring all that hang there, and clear away those whose process is gone."""
        self._send(ENDING, b"!", 0.0)

    def tell(self, words: str) -> None:
        """Tell all ears; raises TimeoutError when one of them has taken nothing for a while."""
        if self._send(EAR, words.encode(), TELL_SECONDS):
            raise TimeoutError("an ear is full")

    def _send(self, ending: str, data: bytes, seconds: float) -> bool:
        """Send to all of one kind; tell whether one could take no more."""
        try:
            names = [name for name in os.listdir(self._folder) if name.endswith(ending)]
        except OSError:
            return False
        if not names:
            return False
        is_full = False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ringer:
            ringer.settimeout(seconds)
            for name in names:
                path = str(self._folder / name)
                try:
                    ringer.sendto(data, path)
                except ConnectionRefusedError:
                    with suppress(OSError):
                        os.unlink(path)
                except (BlockingIOError, TimeoutError):
                    is_full = True  # a bell in this state rings already
                except OSError:
                    continue  # it belongs to somebody else
        return is_full
