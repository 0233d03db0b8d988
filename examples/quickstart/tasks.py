"""The quickstart's one task: measure a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from jobpipe import Jobpipe

jp = Jobpipe()


@dataclass
class Measure:
    """What is worth knowing of a text file."""

    sha256: str
    lines: int
    longest_line: int


@jp.task(timeout=30)
def measure(path: Path) -> Measure:
    """Read a file and return its SHA-256, its number of lines and its longest line."""
    data = path.read_bytes()
    lines = data.splitlines()
    return Measure(
        sha256=hashlib.sha256(data).hexdigest(),
        lines=len(lines),
        longest_line=max(map(len, lines), default=0),
    )
