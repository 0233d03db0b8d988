"""Who acts: noted in the audit beside what was done.

A front says so around what it does for somebody; where nobody does, the program itself acts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from jobpipe.model.audit import Actor

PYTHON = Actor("python", "python")
"""A program that uses the library."""

_acting: ContextVar[Actor | None] = ContextVar("jobpipe_acting", default=None)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Say who asks for what happens inside the block; one actor is one request."""
    before = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(before)


def current() -> Actor | None:
    """Return who acts, or None for the program itself."""
    return _acting.get()
