"""Versions of a task's arguments: how a stored job tells its own, and how old arguments become new.

The version of a job stands in front of its arguments as blanks, which JSON skips. So whoever holds
the arguments knows their version, and no statement carries a column more for it; jobs of the first
version have no blanks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from jobpipe.errors import ConfigError
from jobpipe.tasks import wire
from jobpipe.tasks.codec import show
from jobpipe.tasks.spec import is_whole

Upgrade: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Turns arguments of one version, by name, into those of the next."""

U = TypeVar("U", bound=Upgrade)

_TO_BLANKS = str.maketrans("01", " \t")
_TO_DIGITS = str.maketrans(" \t", "01")


class Incompatible(ValueError):
    """Stored arguments are of a version that this code cannot take."""


class NewerVersion(Incompatible):
    """They are of a later version than this code's."""


class NoUpgrade(Incompatible):
    """Nothing turns them into what this code takes."""


class UpgradeFailed(Incompatible):
    """What turns them into the next version raised, or came to something else than arguments."""


def stamp(version: int, args: str) -> str:
    """Return the JSON text of arguments with their version in front of it."""
    return args if version == 1 else f"{version:b}".translate(_TO_BLANKS) + args


def version_of(args: str) -> int:
    """Return the version of stored arguments."""
    blanks = args[: len(args) - len(args.lstrip(" \t"))]
    return int(blanks.translate(_TO_DIGITS), 2) if blanks else 1


class Versions:
    """The version of a task's arguments, and the upgrades that lead there."""

    def __init__(self, task: str, current: int) -> None:
        self.task = task
        self.current = current
        self.opening = "{" if current == 1 else ""
        """The first character of stored arguments that are sure to be of this version."""
        self._upgrades: dict[int, Upgrade] = {}

    @property
    def upgrades(self) -> tuple[int, ...]:
        """The versions from which an upgrade leads to the next one."""
        return tuple(sorted(self._upgrades))

    @property
    def oldest(self) -> int:
        """The oldest version that can be taken."""
        version = self.current
        while version - 1 in self._upgrades:
            version -= 1
        return version

    def add(self, from_version: int, function: Upgrade) -> None:
        """Take over an upgrade; raises ConfigError when it is none, or there is one already."""
        if not is_whole(from_version, 1, self.current - 1):
            allowed = f"1 to {self.current - 1}" if self.current > 1 else "none"
            raise ConfigError(
                f"task {self.task}: upgrade(from_version={show(from_version)}) is refused; the task"
                f" declares version={self.current}, so allowed: {allowed}",
                help="Raise the version of the task: @task(version=...).",
            )
        if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
            raise ConfigError(
                f"task {self.task}: an upgrade is a plain function made by `def`, not"
                f" {show(function)}"
            )
        if from_version in self._upgrades:
            raise ConfigError(
                f"task {self.task}: two upgrades lead from version {from_version}:"
                f" {self._upgrades[from_version].__qualname__} and {function.__qualname__}"
            )
        self._upgrades[from_version] = function

    def check(self) -> None:
        """Raise ConfigError when the upgrades do not lead to the task's version one by one."""
        unused = [version for version in self.upgrades if version < self.oldest]
        if unused:
            raise ConfigError(
                f"task {self.task}: the upgrade from version {unused[-1]} leads nowhere: there is"
                f" none from version {self.oldest - 1}",
                help=f"Declare it: @{self.task.rsplit('.', 1)[-1]}.upgrade"
                f"(from_version={self.oldest - 1}).",
            )

    def judge(self, version: int) -> None:
        """Raise Incompatible when arguments of a version cannot be taken."""
        if version > self.current:
            raise NewerVersion(
                f"task {self.task}: the arguments are of version {version}, this code knows"
                f" version {self.current}"
            )
        if version < self.oldest:
            raise NoUpgrade(
                f"task {self.task}: the arguments are of version {version}, this code takes"
                f" version {self.current} and has no upgrade from version {version}"
            )

    def upgraded(self, args: str) -> str:
        """Return stored arguments as this version writes them; raises Incompatible."""
        version = version_of(args)
        if version == self.current:
            return args
        self.judge(version)
        try:
            values = _arguments(wire.read(args))
            for each in range(version, self.current):
                version, values = each, _arguments(self._upgrades[each](values))
            return wire.encode(values).decode()
        except Exception as error:  # it is the user's code
            raise UpgradeFailed(
                f"task {self.task}: the upgrade from version {version} failed:"
                f" {type(error).__name__}: {error}"
            ) from error


class Upgradable:
    """A task whose code is here, so that it may turn old arguments into new ones."""

    versions: Versions

    def upgrade(self, *, from_version: int) -> Callable[[U], U]:
        """Declare a function that turns arguments of ``from_version`` into those of the next.

        It takes and returns them by name, as plain JSON values. Raises ConfigError.
        """

        def declare(function: U) -> U:
            self.versions.add(from_version, function)
            return function

        return declare


def _arguments(values: object) -> dict[str, Any]:
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise TypeError(f"arguments are a mapping by name, not {show(values)}")
    return dict(values)
