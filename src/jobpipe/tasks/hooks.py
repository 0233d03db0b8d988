"""What an application wraps around its attempts: lifespans, middleware, what is told of outcomes.

All are checked when they are declared and kept in the order of declaration.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, TypeAlias, TypeVar

from jobpipe.errors import ConfigError
from jobpipe.tasks.codec import show
from jobpipe.tasks.depends import name_of

SetsUp = TypeVar("SetsUp", bound=Callable[[], AsyncIterator[Any]] | Callable[[], Iterator[Any]])
OfTwo = TypeVar("OfTwo", bound=Callable[[Any, Any], object])

CallNext: TypeAlias = Callable[[], Any]
"""What a `def` middleware calls to go on; it returns what the task returned."""
AsyncCallNext: TypeAlias = Callable[[], Awaitable[Any]]
"""What an `async def` middleware awaits to go on."""
Functions: TypeAlias = Callable[[Any, Any], object] | Sequence[Callable[[Any, Any], object]]
"""One hook or several."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A function of the user's that is called around an attempt, or around a worker process."""

    name: str
    function: Callable[..., Any]
    is_async: bool


@dataclass(frozen=True, slots=True)
class TaskHooks:
    """What hears how the attempts of one task came out."""

    on_success: tuple[Hook, ...] = ()
    on_retry: tuple[Hook, ...] = ()
    on_failure: tuple[Hook, ...] = ()


NO_HOOKS = TaskHooks()


class Hooks:
    """What an application declares for all its tasks."""

    def __init__(self) -> None:
        self.lifespans: list[Hook] = []
        self.middleware: list[Hook] = []
        self.on_success: list[Hook] = []
        self.on_retry: list[Hook] = []
        self.on_failure: list[Hook] = []


class HookDeclarations:
    """The part of an application that declares hooks."""

    hooks: Hooks

    def lifespan(self, function: SetsUp, /) -> SetsUp:
        """Declare what a worker process sets up before its first job and tears down at its end.

        The function is a generator, `async def` or `def`, that yields once; ``Depends`` of it
        gives a task what it yielded.
        """
        is_async = inspect.isasyncgenfunction(function)
        if not (is_async or inspect.isgeneratorfunction(function)):
            raise _refusal("lifespan", function, "a function that yields once, taking no arguments")
        hook = check_hook("lifespan", function, ())
        self.hooks.lifespans.append(Hook(hook.name, function, is_async))
        return function

    def middleware(self, function: OfTwo, /) -> OfTwo:
        """Declare a function of (job, call_next) around every attempt; the first is outermost."""
        self.hooks.middleware.append(check_hook("middleware", function, ("job", "call_next")))
        return function

    def on_success(self, function: OfTwo, /) -> OfTwo:
        """Declare a function of (job, result) that hears of every success, before it is stored."""
        self.hooks.on_success.extend(outcome_hooks("on_success", function))
        return function

    def on_retry(self, function: OfTwo, /) -> OfTwo:
        """Declare a function of (job, error) that hears of what causes another attempt."""
        self.hooks.on_retry.extend(outcome_hooks("on_retry", function))
        return function

    def on_failure(self, function: OfTwo, /) -> OfTwo:
        """Declare a function of (job, error) that hears of every final failure of an attempt."""
        self.hooks.on_failure.extend(outcome_hooks("on_failure", function))
        return function


def task_hooks(on_success: Functions, on_retry: Functions, on_failure: Functions) -> TaskHooks:
    """Return the hooks that a task declares; raises ConfigError."""
    return TaskHooks(
        outcome_hooks("on_success", on_success),
        outcome_hooks("on_retry", on_retry),
        outcome_hooks("on_failure", on_failure),
    )


def outcome_hooks(kind: str, given: Functions) -> tuple[Hook, ...]:
    """Return one function or several as hooks; raises ConfigError."""
    functions = given if isinstance(given, Sequence) else (given,)
    about = "result" if kind == "on_success" else "error"
    return tuple(check_hook(kind, each, ("job", about)) for each in functions)


def check_hook(kind: str, function: object, arguments: tuple[str, ...]) -> Hook:
    """Return the function as a hook; raises ConfigError when it cannot be called so."""
    expected = f"a function of ({', '.join(arguments)})"
    if not callable(function):
        raise _refusal(kind, function, expected)
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise _refusal(kind, function, f"{expected}; {error}") from None
    except ValueError:  # something built in, of which nothing is known
        pass
    return Hook(name_of(function), function, is_coroutine_function(function))


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Tell whether a call of it has to be awaited: `async def`, or an object called like one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004
    )


def has_to_be_given(parameter: Parameter) -> bool:
    """Tell whether a call must name a value for it."""
    gathers = parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return parameter.default is Parameter.empty and not gathers


def _refusal(kind: str, function: object, expected: str) -> ConfigError:
    return ConfigError(f"{kind} {show(function)} is refused; allowed: {expected}")
