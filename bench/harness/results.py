"""One run as it is kept: a JSON file that tells all that the report and the pictures show."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.harness.case import Case
from bench.harness.samples import Sample
from bench.harness.system import System


@dataclass
class Results:
    """Facts about the run, and its samples; later runs may add to them."""

    about: dict[str, Any] = field(default_factory=dict)
    """Commit, time, size of the run."""
    machine: dict[str, Any] = field(default_factory=dict)
    servers: dict[str, Any] = field(default_factory=dict)
    """By kind of store: version and settings."""
    systems: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Systems that could not be measured, each with the reason."""
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def note_system(self, system: System, version: str, language: str) -> None:
        self.systems[system.name] = {
            "title": system.title,
            "store": system.store,
            "version": version,
            "language": language,
            "settings": system.settings,
            "keeps_history": system.keeps_history,
            "durable": system.durable,
        }

    def note_case(self, case: Case) -> None:
        self.cases[case.name] = {
            "title": case.title,
            "figures": [asdict(figure) for figure in case.figures],
            "goals": list(case.goals),
            "drawn": case.drawn,
        }

    def forget(self, cases: Iterable[str], systems: Iterable[str]) -> None:
        """Drop what is about to be measured anew."""
        dropped = {(case, system) for case in cases for system in systems}
        self.samples = [s for s in self.samples if (s.case, s.system) not in dropped]

    def write(self, path: Path) -> None:
        """Write all, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in vars(self).items() if name != "samples"}
        head = json.dumps(kept, indent=1)[:-2]
        samples = ",\n".join(f"  {json.dumps(sample.as_json())}" for sample in self.samples)
        new = path.with_suffix(".new")
        new.write_text(f'{head},\n "samples": [\n{samples}\n ]\n}}\n', encoding="utf-8")
        new.replace(path)


def read(path: Path) -> Results:
    """Read what was written."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    samples = [Sample(**sample) for sample in kept.pop("samples")]
    return Results(**kept, samples=samples)
