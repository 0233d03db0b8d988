"""Finds the application that the user names: ``module:attribute``, ``module``, or a path.

The current directory comes first when modules are looked for, as with ``python -m``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType

from jobpipe.application import Jobpipe
from jobpipe.errors import ConfigError

ALLOWED = "module:attribute, module, path/app.py:attribute or path/app.py"


def load_application(place: str) -> Jobpipe:
    """Import and return the application; raises ConfigError that says what is wrong."""
    target, _, attribute = place.partition(":")
    _look_first_in(Path.cwd())
    is_path = target.endswith(".py") or os.sep in target
    module = _from_path(place, Path(target)) if is_path else _from_name(place, target)
    return _attribute(place, module, attribute) if attribute else _only_one(place, module)


def _from_path(place: str, path: Path) -> ModuleType:
    if not path.is_file() or not path.stem.isidentifier():
        raise ConfigError(
            f"application {place!r}: there is no Python file {str(path)!r}",
            help=f"Name the application as {ALLOWED}.",
        )
    path = path.resolve()
    folder, name = path.parent, path.stem
    while (folder / "__init__.py").is_file():
        name = f"{folder.name}.{name}"
        folder = folder.parent
    _look_first_in(folder)
    module = _from_name(place, name)
    if module.__file__ is None or not path.samefile(module.__file__):
        raise ConfigError(
            f"application {place!r}: another module named {name} comes first: {module.__file__}",
            help="Give the file a name that no other module has.",
        )
    return module


def _from_name(place: str, name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(
            f"application {place!r} cannot be looked for",
            help=f"Name the application as {ALLOWED}.",
        )
    try:
        with redirect_stdout(sys.stderr):  # standard output is for data alone
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"application {place!r}: there is no module {error.name!r}, neither here nor among"
                " what is installed",
                help="Run the command in the folder that holds the module, or install it.",
            ) from error
        raise _import_failed(place, name, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(place, name, error) from error


def _import_failed(place: str, name: str, error: BaseException) -> ConfigError:
    line = " ".join(f"{type(error).__qualname__}: {error}".rstrip(": ").split())
    return ConfigError(
        f"application {place!r}: importing {name} failed: {line}",
        help="Mend the module; --debug shows where it failed.",
    )


def _attribute(place: str, module: ModuleType, attribute: str) -> Jobpipe:
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = ", ".join(_names(module)) or "none"
            raise ConfigError(
                f"application {place!r}: {module.__name__} has no attribute {attribute!r}",
                help=f"Applications in {module.__name__}: {known}.",
            )
        found = getattr(found, part)
    if isinstance(found, Jobpipe):
        return found
    raise ConfigError(
        f"application {place!r} is no Jobpipe but of type {type(found).__qualname__}",
        help="Name the attribute that holds `Jobpipe(...)`.",
    )


def _only_one(place: str, module: ModuleType) -> Jobpipe:
    found = {id(each): each for each in vars(module).values() if isinstance(each, Jobpipe)}
    if len(found) == 1:
        return next(iter(found.values()))
    what = f"several applications: {', '.join(_names(module))}" if found else "no application"
    raise ConfigError(
        f"application {place!r}: {module.__name__} holds {what}",
        help=f"Name one as {module.__name__}:attribute." if found else "Make one: jp = Jobpipe().",
    )


def _names(module: ModuleType) -> Iterator[str]:
    return (name for name, value in vars(module).items() if isinstance(value, Jobpipe))


def _look_first_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
