"""Where settings are given: the caller, the environment, ``.env`` and two TOML files.

Sources are gathered in order of precedence, highest first, with everything unknown reported.
Files are read from one directory only, each up to a bounded size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from jobpipe.config.commands import TABLE, TASKS_TABLE, read_commands, read_remote_tasks
from jobpipe.config.declared import SETTINGS
from jobpipe.config.dotenv import parse_dotenv
from jobpipe.config.mask import MASK
from jobpipe.config.setting import PREFIX, Setting
from jobpipe.config.values import nearest
from jobpipe.errors import ConfigError

MAX_FILE_BYTES = 1024 * 1024
MAX_SHOWN = 200
MISSPELT = 0.75
"""From this likeness on an unknown name counts as a misspelt known one."""

_BY_FIELD = {setting.field: setting for setting in SETTINGS}
_BY_ENV = {setting.env: setting for setting in SETTINGS}
_BY_KEY = {setting.key: setting for setting in SETTINGS}
_FALLBACKS = {setting.fallback_env: setting for setting in SETTINGS if setting.fallback_env}


class OriginKind(StrEnum):
    """The kinds of places a value comes from."""

    FLAG = "flag"
    ENV = "env"
    DOTENV = ".env file"
    JOBPIPE_TOML = "jobpipe.toml"
    PYPROJECT = "pyproject"
    FALLBACK_ENV = "fallback env"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value comes from: the kind of place, and the key or line in it."""

    kind: OriginKind
    place: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.place}".rstrip()


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was given, unread."""

    raw: object = field(repr=False)
    origin: Origin


@dataclass
class Gathered:
    """What all sources give: for each field the value that counts, and what was refused."""

    given: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The options of each declared command by name."""
    remote_tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The options of each task that programs elsewhere run, by name."""

    def add(self, known: Mapping[str, Setting], name: str, raw: object, origin: Origin) -> None:
        """Take a value from the next lower source; an earlier one for the same field wins."""
        setting = known.get(name)
        if setting is None:
            self.problems.append(_unknown(known, name, raw, origin))
        else:
            self.given.setdefault(setting.field, Given(raw, origin))

    def add_file(self, kind: OriginKind, prefix: str, table: Mapping[str, object]) -> None:
        """Take the settings and the commands of a TOML table."""
        for key, value in table.items():
            if key == TABLE:
                self.commands = read_commands(value, self.problems) | self.commands
            elif key == TASKS_TABLE:
                self.remote_tasks = read_remote_tasks(value, self.problems) | self.remote_tasks
            else:
                self.add(_BY_KEY, key, value, Origin(kind, f"{prefix}{key}"))


def gather(
    overrides: Mapping[str, object], environ: Mapping[str, str], directory: Path
) -> Gathered:
    """Everything that is given, by the precedence of sources."""
    gathered = Gathered()
    for name, value in overrides.items():
        if value is not None:
            gathered.add(_BY_FIELD, name, value, Origin(OriginKind.FLAG, name))
    dotenv = _read_dotenv(directory)
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        gathered.add(_BY_ENV, name, environ[name], Origin(OriginKind.ENV, name))
    for name, (text, line) in dotenv.items():
        if name.startswith(PREFIX):
            place = f"line {line} {name}"
            gathered.add(_BY_ENV, name, text, Origin(OriginKind.DOTENV, place))
    gathered.add_file(OriginKind.JOBPIPE_TOML, "", _read_toml(directory / "jobpipe.toml"))
    project = _read_pyproject(directory / "pyproject.toml")
    gathered.add_file(OriginKind.PYPROJECT, "tool.jobpipe.", project)
    for name in _FALLBACKS:
        if name in environ:
            gathered.add(_FALLBACKS, name, environ[name], Origin(OriginKind.FALLBACK_ENV, name))
        elif name in dotenv:
            text, line = dotenv[name]
            place = f"{name} in .env line {line}"
            gathered.add(_FALLBACKS, name, text, Origin(OriginKind.FALLBACK_ENV, place))
    return gathered


def shown(setting: Setting, raw: object) -> str:
    """A refused value as an error may repeat it: short, and without a secret."""
    if setting.secret:
        text = repr(setting.mask(raw.strip())) if isinstance(raw, str) else MASK
    else:
        try:
            text = repr(raw)
        except ValueError:
            text = "a number too large to be written"
    return shorten(text)


def shorten(text: str) -> str:
    """The text, with its middle left out where an error would grow too long to be read."""
    half = MAX_SHOWN // 2
    return text if len(text) <= MAX_SHOWN else f"{text[:half]}...{text[-half:]}"


def _unknown(known: Mapping[str, Setting], name: str, raw: object, origin: Origin) -> str:
    # Compared without the common prefix, which would make all variables look alike.
    full_names = {other.removeprefix(PREFIX).lower(): other for other in known}
    word = name.removeprefix(PREFIX).lower()
    match = nearest(word, full_names)
    setting = known[full_names[match]]
    from difflib import SequenceMatcher

    # Only a misspelt name tells that its value is no secret.
    misspelt = SequenceMatcher(None, word, match).ratio() >= MISSPELT
    value = shown(setting, raw) if misspelt and not setting.secret else MASK
    return f"{origin} = {value}: unknown setting; the nearest known one is {full_names[match]}"


def _read_dotenv(directory: Path) -> dict[str, tuple[str, int]]:
    path = directory / ".env"
    # A directory of this name is a virtual environment's, and none of our business.
    content = "" if path.is_dir() else _read_file(path)
    try:
        return parse_dotenv(content, lambda name: name.startswith(PREFIX) or name in _FALLBACKS)
    except ValueError as error:
        problem = f".env file: {error}"
    raise ConfigError(problem)


def _read_pyproject(path: Path) -> Mapping[str, object]:
    tool = _read_toml(path).get("tool", {})
    table = tool.get("jobpipe", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError("pyproject.toml: tool.jobpipe is not a table; write [tool.jobpipe]")
    return table


def _read_toml(path: Path) -> Mapping[str, object]:
    content = _read_file(path)
    if not content:
        return {}
    import tomllib

    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        problem = f"{path.name} is not TOML: {error}"
    except (ValueError, RecursionError):
        problem = f"{path.name} is not TOML: a number or a nesting in it is beyond all bounds"
    raise ConfigError(problem)


def _read_file(path: Path) -> str:
    """The text of a file; nothing when there is no such file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"{path.name} is larger than {MAX_FILE_BYTES} bytes")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except IsADirectoryError:
        problem = f"{path.name} is a directory; a file is expected"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = f"{path.name} is not UTF-8: line {line}"
    except OSError as error:
        problem = f"{path.name} cannot be read: {error.strerror}"
    raise ConfigError(problem)
