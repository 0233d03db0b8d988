"""The tokens that are valid now: those of the settings, and those of a file that may change."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jobpipe.config.tokens import TokenEntry, digest_of, read_lines
from jobpipe.telemetry.events import TokensRead, TokensUnreadable, emit

LOOK_SECONDS = 1.0
"""So long a change of the file may stay unseen."""
FILE_MAX = 4 * 1024 * 1024
"""Most bytes of the file."""


def find(entries: Sequence[TokenEntry], token: bytes) -> TokenEntry | None:
    """Return whose token it is. Every entry is compared, so the time tells nothing of the place."""
    digest = digest_of(token)
    found = None
    for entry in entries:
        if hmac.compare_digest(entry.digest, digest):
            found = entry
    return found


class TokenBook:
    """Belongs to one service. While the file cannot be read, nothing in it is valid."""

    def __init__(
        self,
        fixed: Sequence[TokenEntry],
        path: str | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.problem: str | None = None
        """What is wrong with the file."""
        self._fixed = tuple(fixed)
        self._path = None if path is None else Path(path)
        self._now = now
        self._looked_at = float("-inf")
        self._content: bytes | None = None
        self._entries = self._fixed

    def entries(self) -> Sequence[TokenEntry]:
        """Return all that is valid; looks at the file when it has not for a second."""
        now = self._now()
        if self._path is not None and now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._look(self._path)
        return self._entries

    def _look(self, path: Path) -> None:
        try:
            content = _read(path)
            if content == self._content and self.problem is None:
                return
            entries = read_lines(content.decode())
        except UnicodeDecodeError:
            self._close("it is not UTF-8")
        except OSError as error:
            self._close(str(error.strerror))
        except ValueError as error:
            self._close(str(error))
        else:
            if self._content is not None or self.problem is not None:
                emit(TokensRead(path=str(path), tokens=len(entries)))
            self.problem, self._content = None, content
            self._entries = (*self._fixed, *entries)

    def _close(self, why: str) -> None:
        if why != self.problem:
            emit(TokensUnreadable(path=str(self._path), why=why))
        self.problem, self._content, self._entries = why, None, self._fixed


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(FILE_MAX + 1)
    if len(content) > FILE_MAX:
        raise ValueError(f"it is larger than {FILE_MAX} bytes")
    return content
