"""How fast each system was: what sizes of samples, and the time that a run takes, are made of."""

from __future__ import annotations

import json
from pathlib import Path

from bench.harness.case import Case, Size
from bench.harness.system import System

SLOW_SECONDS = 4.0
"""What a sample of a slow system should take at most."""

FILL = "bulk"
"""The kin of the cases that tell how fast a store is filled."""


class Rates:
    """How fast each system was, so that a slow one gets small samples; kept between runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}

    def jobs(self, size: Size, system: System, *, quick: bool) -> int | None:
        """Return how many jobs a sample gets; None while nothing is known of the speed."""
        full = size.quick if quick else size.full
        rate = self._known.get(f"{size.kin} {system.name}")
        if rate is None:
            return full if quick else None
        return max(size.least, min(full, _round(rate * SLOW_SECONDS)))

    def note(self, size: Size, system: System, rate: float) -> None:
        self._known[f"{size.kin} {system.name}"] = round(rate, 1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._known, indent=1, sort_keys=True))

    def seconds(self, case: Case, system: System, *, quick: bool) -> float:
        """Return about how long a sample takes."""
        if case.size is None:
            return case.lasts
        jobs = self.jobs(case.size, system, quick=quick)
        rate = self._known.get(f"{case.size.kin} {system.name}")
        if jobs is None or rate is None:
            return case.lasts + SLOW_SECONDS
        filling = 0.0
        if "work" in case.needs:
            filling = jobs / self._known.get(f"{FILL} {system.name}", rate)
        return case.lasts + filling + jobs / rate


def _round(jobs: float) -> int:
    """Return two significant digits: sizes are easier to read, and alike from run to run."""
    unit = int("1".ljust(len(str(int(jobs))) - 1, "0"))
    return int(jobs) // unit * unit
