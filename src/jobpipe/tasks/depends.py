"""Marks parameters whose values a worker provides: ``db: Session = Depends(get_db)``.

Such parameters are no arguments of a job.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from inspect import Parameter
from typing import Any, NoReturn, TypeVar, overload

from jobpipe.errors import ConfigError

T = TypeVar("T")


class CurrentJob:
    """What a provider asks for by an annotation: the job that runs (``RunningJob``)."""


class Dependency:
    """Stands as a default for what a worker provides; in a plain call nothing takes its place."""

    __slots__ = ("provider",)

    def __init__(self, provider: Callable[..., Any]) -> None:
        self.provider = provider

    def __repr__(self) -> str:
        return f"Depends({name_of(self.provider)})"

    def __getattr__(self, name: str) -> NoReturn:
        """Say what is wrong when a plain call uses it."""
        raise AttributeError(
            f"{self!r} has no {name!r}: in a plain call pass the value yourself,"
            " or run the task as a job, where the worker provides it"
        )


@overload
def Depends(provider: Callable[..., AsyncIterator[T]], /) -> T: ...
@overload
def Depends(provider: Callable[..., Iterator[T]], /) -> T: ...
@overload
def Depends(provider: Callable[..., Coroutine[Any, Any, T]], /) -> T: ...
@overload
def Depends(provider: Callable[..., T], /) -> T: ...
def Depends(provider: Callable[..., Any], /) -> Any:  # noqa: N802  # reads like a type
    """Let a worker provide a parameter: what the function returns, or yields once.

    It is called once an attempt; a generator goes on after the attempt, also after its exception.
    Of a lifespan function it is what that has yielded.
    """
    if not callable(provider):
        raise ConfigError(f"Depends takes a function, not {type(provider).__qualname__}")
    return Dependency(provider)


def is_provided(parameter: Parameter) -> bool:
    """Tell whether the worker provides a parameter."""
    return isinstance(parameter.default, Dependency)


def name_of(function: object) -> str:
    """Return what to call a function in messages."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', None) or 'unknown'}.{name}"
