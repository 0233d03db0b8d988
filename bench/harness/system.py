"""What the harness knows of one measured system; its program says the rest by its verbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Store = Literal["postgresql", "sqlite", "redis", "rabbitmq"]


class Unusable(Exception):
    """A system cannot be measured here: a server, a language or a package is missing."""


@dataclass(frozen=True)
class System:
    """One contestant, or a raw floor: a folder of ``bench/systems`` with a program."""

    name: str
    """Its folder, and its name in files and on the command line."""
    title: str
    """Its name in tables; with the store where one system has several."""
    store: Store
    package: str
    """The distribution whose version is shown; empty for a floor."""
    settings: str
    """The settings it runs at, as shown beside its figures."""
    abilities: frozenset[str]
    """Verbs and tasks that it has: ``fill enqueue.sync enqueue.async pace feed work left`` and
    ``noop noop_sync kib flaky stamp``, and ``processes`` when one ``work`` makes several."""
    keeps_history: bool
    """Finished jobs stay readable."""
    durable: bool
    """Every acknowledged job is on disk, through a power cut."""
    language: Literal["python", "node"] = "python"
    python: str = "3.11"
    """Oldest version that it needs."""
    variant: str = ""
    """Handed to the program as ``variant`` where one folder serves several systems (a broker)."""
    folder: str = ""
    """Its folder where that is not its name."""
    venv: str = ""
    """The folder in whose environment it runs, where that is not its own."""
    rounds: int | None = None
    """Most rounds that it is asked for, fewer for one that is far behind; None: all of them."""
