"""The systems that are measured: every module of this folder may name a family of them.

A family is a module with ``SYSTEMS``; a system is an entry of it and a folder with a program.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bench.harness.system import System


def all_systems() -> dict[str, System]:
    """Return every system by its name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    entries = [system for module in modules for system in getattr(module, "SYSTEMS", ())]
    return {system.name: system for system in sorted(entries, key=_place)}


def _place(system: System) -> tuple[bool, bool, bool, str]:
    """Ours first, then the floors, then the peers by store and name."""
    ours = system.name.startswith("jobpipe")
    floor = system.name.startswith("floor")
    return not ours, not floor, system.store != "postgresql", system.name
