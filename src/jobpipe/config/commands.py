"""Tasks without any Python, as jobpipe.toml declares them.

``[commands.NAME]`` is a program to run here, ``[tasks.NAME]`` a task that programs elsewhere run.
"""

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
    "aliases",
    "tenant",
    "unique",
)
TASKS_TABLE = "tasks"

TASK_OPTIONS = tuple(
    option
    for option in OPTIONS
    if option not in {"run", "cwd", "env", "stdin", "ok_codes", "limits"}
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


def read_remote_tasks(value: object, problems: list[str]) -> dict[str, dict[str, Any]]:
    """Return the options of each remote task by name, like ``read_commands``."""
    if not isinstance(value, Mapping):
        problems.append(f"{TASKS_TABLE} is not a table; write [{TASKS_TABLE}.NAME]")
        return {}
    for name, options in value.items():
        place = f"{TASKS_TABLE}.{name}"
        if not isinstance(options, Mapping):
            problems.append(f"{place} is not a table; write [{place}] and its options below it")
            continue
        unknown = [key for key in options if key not in TASK_OPTIONS]
        problems += [_unknown(place, key, TASK_OPTIONS) for key in unknown]
    return {str(name): dict(options) for name, options in value.items() if _is_table(options)}


def _is_table(options: object) -> bool:
    return isinstance(options, Mapping)


def _unknown(place: str, key: str, known: tuple[str, ...]) -> str:
    return f"{place}.{key}: unknown option; the nearest known one is {nearest(key, known)}"
