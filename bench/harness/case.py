"""What a case is: a question that every system able to answer it is asked, once a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bench.harness.system import Store, System

if TYPE_CHECKING:
    from bench.harness.stage import Stage

STORES: frozenset[Store] = frozenset({"postgresql", "sqlite", "redis", "rabbitmq"})


@dataclass(frozen=True)
class Figure:
    """One number that a case measures."""

    name: str
    unit: str
    """Shown in heads of columns and beside axes: ``jobs/s``, ``ms``, ``us``, ``MB``."""
    more_is_better: bool = True
    title: str = ""
    """Said in words; the name where that says it."""


@dataclass(frozen=True)
class Measured:
    """What one sample of a case came to."""

    figures: dict[str, float]
    """By the names that the case declares; one that does not apply is left out."""
    jobs: int = 0
    """The size of the sample."""
    series: dict[str, list[float]] = field(default_factory=dict)
    """Figures over time, such as jobs/s of every ten seconds; by the names of figures."""
    step: float = 10.0
    """Seconds between two points of a series."""
    note: str = ""


@dataclass(frozen=True)
class Size:
    """How many jobs a sample has; fewer for a slow system, so that it takes seconds only."""

    full: int
    quick: int
    kin: str
    """Cases that share this word share what was learnt of a system's speed."""
    least: int = 200
    """So many even where that takes long."""


@dataclass(frozen=True)
class Case:
    """One question. Systems are measured in turn, in alternating order, once a round."""

    name: str
    """On the command line and in files: ``drain-2``."""
    title: str
    figures: tuple[Figure, ...]
    """The first one is what is drawn and what ratios are made of."""
    measure: Callable[[Stage], Measured]
    size: Size | None = None
    """None: the case decides by itself."""
    needs: frozenset[str] = frozenset()
    """Abilities that a system must have to be asked."""
    stores: frozenset[Store] = STORES
    only: frozenset[str] = frozenset()
    """Systems that are asked; none named means whoever is able."""
    lasts: float = 1.5
    """About how many seconds a sample takes beside its jobs: starts, waits, all where the case has
    no size."""
    rounds: int | None = None
    """Most rounds that make sense (a long case needs one); None: as many as the run makes."""
    long: bool = False
    """Takes so long that it is asked only by its name."""
    quick: bool = False
    """Belongs to the run of five minutes."""
    quick_rounds: int | None = None
    goals: tuple[str, ...] = ()
    """What the project wants of this case, in words, as shown under its table."""
    drawn: Literal["bars", "lines", "no"] = "bars"
    """Bars of the first figure, lines of the series, or no picture."""

    def asks(self, system: System) -> bool:
        """Tell whether the system is able to answer."""
        wanted = not self.only or system.name in self.only
        return wanted and system.store in self.stores and self.needs <= system.abilities

    def figure(self, name: str) -> Figure:
        """Return the figure of this name."""
        return next(figure for figure in self.figures if figure.name == name)
