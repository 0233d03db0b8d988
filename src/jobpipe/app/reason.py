"""One thing that keeps a job from running, as people and programs are shown it."""

from __future__ import annotations

from msgspec import Struct


class OtherView(Struct, frozen=True, kw_only=True):
    """A job that stands in the way of another one."""

    id: int
    state: str
    """``flow``: it is a flow and no job."""
    since: str | None


class ReasonView(Struct, frozen=True, kw_only=True):
    """One thing that keeps a job where it is."""

    code: str
    """Stable: programs may rely on it."""
    message: str
    since: str | None = None
    until: str | None = None
    help: str = ""
    gate: str | None = None
    """The gate that is shut, by kind and key: to the job itself, or to who is in front of it."""
    before: int | None = None
    """How many jobs stand before it in line; counted up to 10,000."""
    others: list[OtherView] = []
    """The jobs that it waits for, up to ten: who holds the gate, what it comes after, or who of its
    tenant waits at a gate in front of it."""
