"""The lines of reliability/ledger.jsonl: what a torture was, and what it found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.process.checker import Kind

LEDGER = Path(__file__).resolve().parents[3] / "reliability" / "ledger.jsonl"


class Count(Struct):
    """How often a fault was brought about."""

    injected: int = 0
    met: int = 0
    """How often it met a running job."""


class Line(Struct, kw_only=True):
    """One torture of one store."""

    date: str
    commit: str
    store: str
    minutes: float
    seed: int
    jobs: int = 0
    attempts: int = 0
    faults: dict[str, Count] = msgspec.field(default_factory=dict)
    power_cut_points: int = 0
    stalls: int = 0
    """How often the machine itself gave no processor, sync or commit for a quarter of a lease."""
    anomalies: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(Kind, 0))


def append(line: Line, ledger: Path = LEDGER) -> None:
    """Add the line at the ledger's end."""
    ledger.parent.mkdir(exist_ok=True)
    with ledger.open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


def lines(ledger: Path = LEDGER) -> list[Line]:
    """Return all lines."""
    decode = msgspec.json.Decoder(Line).decode
    return [decode(line) for line in ledger.read_bytes().splitlines()] if ledger.exists() else []


def add(total: dict[str, Count], more: Mapping[str, Count]) -> None:
    """Add counts to a total."""
    for name, count in more.items():
        kept = total.setdefault(name, Count())
        kept.injected += count.injected
        kept.met += count.met


def total_of(of: Iterable[Line]) -> dict[str, Count]:
    """Return the sums of all faults."""
    total: dict[str, Count] = {}
    for line in of:
        add(total, line.faults)
    return total
