"""Single keys from the terminal, without waiting for the end of a line."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

END = "\x04"
"""What Ctrl-D gives, and a terminal that is gone."""


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Give a function that waits so many seconds for a key; an empty text when none came.

    ``END`` when nobody can press one any more. Ctrl-C stays what it is. The terminal is left as
    it was found.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield _no_keys
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        if not ready:
            return ""
        try:
            return os.read(descriptor, 1).decode(errors="replace") or END
        except OSError:
            return END

    try:
        yield pressed
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _no_keys(seconds: float) -> str:
    select.select([], [], [], seconds)
    return ""
