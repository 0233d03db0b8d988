"""What was measured, sample by sample, and what it comes to: min, median, max, ratios."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

FAILURE_KEPT = 300


@dataclass(frozen=True)
class Sample:
    """One answer of one system to one case, or why there is none."""

    case: str
    system: str
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    jobs: int = 0
    series: dict[str, list[float]] = field(default_factory=dict)
    step: float = 10.0
    note: str = ""
    steal: float = 0.0
    """Percent of the machine's time that its host took away meanwhile."""
    others: float = 0.0
    """Percent of the machine's time that went to processes which are not of the benchmark."""
    seconds: float = 0.0
    """How long the sample took with all that belongs to it."""
    failure: str = ""
    """Why there are no figures."""

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value or name == "round"}


@dataclass(frozen=True)
class Spread:
    """Several samples of one figure."""

    least: float
    median: float
    most: float
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of the values; None of no values."""
    if not values:
        return None
    return Spread(min(values), median(values), max(values), len(values))


def values(samples: Iterable[Sample], case: str, system: str, figure: str) -> dict[int, float]:
    """Return one figure of one system in one case by round."""
    return {
        sample.round: sample.figures[figure]
        for sample in samples
        if sample.case == case and sample.system == system and figure in sample.figures
    }


def ratio(ours: dict[int, float], theirs: dict[int, float]) -> float | None:
    """Return the median of the ratios of those rounds in which both have a figure."""
    pairs = [ours[n] / theirs[n] for n in sorted(ours.keys() & theirs.keys()) if theirs[n]]
    return median(pairs) if pairs else None


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of all values do not exceed."""
    ordered = sorted(values)
    place = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(place) - 1)]


def in_short(failure: str) -> str:
    """Return what went wrong and the last thing that a program said of it."""
    lines = [line.strip() for line in failure.splitlines() if line.strip()]
    return " ... ".join(dict.fromkeys([lines[0][:FAILURE_KEPT], lines[-1][:FAILURE_KEPT]]))
