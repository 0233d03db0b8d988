"""Settings from every source; for each field the source of highest precedence counts.

Whatever is wrong is refused at once and together: a process never starts on settings it misread.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobpipe.config.declared import SETTINGS
from jobpipe.config.settings import Settings
from jobpipe.config.sources import Origin, OriginKind, gather, shorten, shown
from jobpipe.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings that count, and for each field where its value comes from."""

    settings: Settings
    origins: dict[str, Origin]
    commands: dict[str, dict[str, Any]]
    """The options of each command that a file declares, by name."""
    remote_tasks: dict[str, dict[str, Any]]
    """Those of each task that programs elsewhere run."""


def load_settings(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Settings:
    """The settings of this process; ``overrides`` count most, by field name (None: not given)."""
    return load_effective(overrides, environ=environ, directory=directory).settings


def load_effective(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Effective:
    """The settings of this process with their origins."""
    directory = Path() if directory is None else directory
    if not directory.is_dir():
        raise ConfigError(f"settings are looked for in {str(directory)!r}, which is no directory")
    gathered = gather(overrides or {}, os.environ if environ is None else environ, directory)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    problems = list(gathered.problems)
    for setting in SETTINGS:
        given = gathered.given.get(setting.field)
        if given is None:
            values[setting.field] = setting.default_value()
            origins[setting.field] = Origin(OriginKind.DEFAULT)
            continue
        origins[setting.field] = given.origin
        try:
            values[setting.field] = setting.read(given.raw)
        except ValueError as reason:
            refused = f"{given.origin} = {shown(setting, given.raw)}: {shorten(str(reason))}"
            problems.append(f"{refused}; allowed: {setting.allowed}")
    if problems:
        raise ConfigError("\n".join(problems))
    return Effective(Settings(**values), origins, gathered.commands, gathered.remote_tasks)
