"""Whether a job has left something behind in its process that the next one would suffer from."""

from __future__ import annotations

import os
import resource

SPARE_DESCRIPTORS = 64
"""How many more descriptors than at first may be open: connections that tasks keep, say."""

LIMITS = (
    resource.RLIMIT_AS,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_STACK,
)


class Wear:
    """What the process was like when it was new."""

    def __init__(self) -> None:
        self._limits = _limits()
        self._lowest_free = _lowest_free()

    def is_worn(self) -> bool:
        """Tell whether there are processes, lower limits or many descriptors since then."""
        if _has_descendants() or _limits() != self._limits:
            return True
        try:
            return _lowest_free() > self._lowest_free + SPARE_DESCRIPTORS
        except OSError:  # there is none left
            return True


def _has_descendants() -> bool:
    """Tell whether this process has any child, alive or not; orphans below it count."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(kind) for kind in LIMITS]


def _lowest_free() -> int:
    """Return the lowest free descriptor; those below it are taken."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor
