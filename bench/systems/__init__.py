"""The systems that are measured: each family of them is a module with ``SYSTEMS``.

A system is an entry there and a folder with a program. The harness knows no more of it, and runs
where none of the systems is installed, not even Jobpipe.
"""

from __future__ import annotations

from bench.harness.system import System
from bench.systems import others, own, postgres

FAMILIES = (own.SYSTEMS, postgres.SYSTEMS, others.SYSTEMS)


def all_systems() -> dict[str, System]:
    """Return every system by its name."""
    entries = [system for family in FAMILIES for system in family]
    return {system.name: system for system in sorted(entries, key=_place)}


def _place(system: System) -> tuple[bool, bool, bool, str]:
    """Ours first, then the floors, then the peers by store and name."""
    ours = system.name.startswith("jobpipe")
    floor = system.name.startswith("floor")
    return not ours, not floor, system.store != "postgresql", system.name
