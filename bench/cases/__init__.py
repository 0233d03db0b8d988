"""The questions that are asked: every module of this folder names a family of cases."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bench.harness.case import Case

FIRST = ("enqueue", "drain", "latency")
"""The order of the families in the report; the others follow by name."""


def all_cases() -> dict[str, Case]:
    """Return every case by its name, in the order of the report."""
    names = sorted((module.name for module in iter_modules(__path__)), key=_place)
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return {case.name: case for module in modules for case in getattr(module, "CASES", ())}


def _place(name: str) -> tuple[int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST), name)
