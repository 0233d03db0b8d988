"""Waiting for something to become true, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

STEP_SECONDS = 0.005


def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    """Ask again and again until the answer is yes; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(STEP_SECONDS)


def is_alive(pid: int) -> bool:
    """Tell whether the process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
