"""The commands that jobpipe.toml declares: ``[commands.NAME]``, tasks without any Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobpipe.config.values import nearest

TABLE = "commands"

OPTIONS = (
    "run",
    "cwd",
    "env",
    "stdin",
    "ok_codes",
    "limits",
    "queue_name",
    "priority",
    "max_attempts",
    "retry_delays",
    "timeout",
    "on_loss",
    "store_result",
    "version",
)
LIMITS = ("memory_mb", "cpu_seconds", "open_files")


def read_commands(value: object, problems: list[str]) -> dict[str, dict[str, Any]]:
    """Return the options of each command by name; what is wrong is added to the problems.

    Only their names are checked here: the values are, when the commands are declared.
    """
    if not isinstance(value, Mapping):
        problems.append(f"{TABLE} is not a table; write [{TABLE}.NAME] and run = [...] below it")
        return {}
    for name, options in value.items():
        place = f"{TABLE}.{name}"
        if not isinstance(options, Mapping) or "run" not in options:
            problems.append(f"{place} has no `run`: the program, then its arguments, in a list")
            continue
        problems += [_unknown(place, key, OPTIONS) for key in options if key not in OPTIONS]
        limits = options.get("limits", {})
        if not isinstance(limits, Mapping):
            problems.append(f"{place}.limits is not a table, such as {{ memory_mb = 512 }}")
            continue
        place = f"{place}.limits"
        problems += [_unknown(place, key, LIMITS) for key in limits if key not in LIMITS]
    return {str(name): dict(options) for name, options in value.items() if _is_table(options)}


def _is_table(options: object) -> bool:
    return isinstance(options, Mapping)


def _unknown(place: str, key: str, known: tuple[str, ...]) -> str:
    return f"{place}.{key}: unknown option; the nearest known one is {nearest(key, known)}"
