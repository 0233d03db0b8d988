"""Wrong clocks by libfaketime: of single processes, or of a whole machine at once.

On PostgreSQL each worker may have its own wrong clock, since the server's decides. On SQLite the
machine's clock decides, so it is set for all processes at once. Monotonic clocks go on truly.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
WRONG = ("-1d", "-1h", "+1h", "+1d", "+0 x2")
"""A day or an hour behind or ahead, or twice as fast."""
HOUR = 3600
AT_START = Path(__file__).with_name("at_start")


def library() -> str | None:
    """Return the library that shows a process another time, if it is installed."""
    found = [str(file) for pattern in LIBRARIES for file in Path("/").glob(pattern[1:])]
    return found[0] if found else None


def wrong(how: str) -> Mapping[str, str]:
    """Return the environment of a process with a clock of its own."""
    return {"FAKETIME": how, **_surroundings()}


def _surroundings() -> dict[str, str]:
    path = [str(AT_START), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "LD_PRELOAD": library() or "",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": os.pathsep.join(path),
    }


class MachineClock:
    """The time of day of all processes that are started with ``env``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._furthest = self._hours = 0
        self.set(0)

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            **_surroundings(),
        }

    def set(self, hours: int) -> None:
        """Set the clock so many hours off, for all at the same moment."""
        self._hours, self._furthest = hours, max(self._furthest, hours)
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{hours * HOUR:+d}", encoding="utf-8")
        os.replace(draft, self._file)

    def heal(self) -> None:
        """Set it where all that was put off has fallen due."""
        self.set(self._furthest)
