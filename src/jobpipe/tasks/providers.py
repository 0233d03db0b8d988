"""What provides the values of a task's parameters: found and checked when the task is declared.

Every parameter of a provider is provided in turn, asks for the running job, or has a default.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import Parameter
from typing import Any, Literal, TypeAlias

from jobpipe.errors import ConfigError
from jobpipe.tasks.codec import show
from jobpipe.tasks.depends import CurrentJob, is_provided, name_of
from jobpipe.tasks.hooks import has_to_be_given

Kind: TypeAlias = Literal["value", "coroutine", "generator", "async generator"]


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """A checked provider: called once an attempt, after what it needs."""

    function: Callable[..., Any]
    kind: Kind
    needs: tuple[tuple[str, Provider], ...]
    """Parameters that take what other providers give."""
    jobs: tuple[str, ...]
    """Parameters that take the running job."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """All that a task depends on."""

    order: tuple[Provider, ...]
    """Each after those that it needs."""
    arguments: tuple[tuple[str, Provider], ...]
    """The task's own parameters."""


def find_dependencies(task: str, function: Callable[..., Any]) -> Dependencies | None:
    """Return what the task depends on, None when it is nothing; raises ConfigError."""
    parameters = list(inspect.signature(function).parameters.values())
    provided = [each for each in parameters if is_provided(each)]
    if not provided:
        return None
    search = _Search(task)
    for each in provided:
        gathers = any(
            later.kind is Parameter.VAR_POSITIONAL for later in parameters[parameters.index(each) :]
        )
        if gathers or each.kind is Parameter.POSITIONAL_ONLY:
            raise search.refusal(f"{each.name} = {each.default!r} has to come after a *")
    arguments = tuple((each.name, search.provider(each.default.provider)) for each in provided)
    return Dependencies(tuple(search.found.values()), arguments)


class _Search:
    """Walks from a task's parameters to all that they depend on."""

    def __init__(self, task: str) -> None:
        self.found: dict[Callable[..., Any], Provider] = {}
        self._task = task
        self._path: list[Callable[..., Any]] = []

    def refusal(self, what: str) -> ConfigError:
        return ConfigError(
            f"task {self._task}: {what}",
            help="Correct the parameters that have Depends(...) as their default.",
        )

    def provider(self, function: Callable[..., Any]) -> Provider:
        try:
            known = self.found.get(function)
        except TypeError:
            raise self.refusal(f"provider {show(function)} is not hashable") from None
        if known is not None:
            return known
        if function in self._path:
            names = " -> ".join(name_of(each) for each in [*self._path, function])
            raise self.refusal(f"its dependencies go in a circle: {names}")
        self._path.append(function)
        made = self._checked(function)
        self._path.pop()
        self.found[function] = made
        return made

    def _checked(self, function: Callable[..., Any]) -> Provider:
        called = _called(function)
        try:
            parameters = inspect.signature(called).parameters.values()
        except ValueError:  # something built in: it is called without arguments
            return Provider(function, "value", (), ())
        needs: list[tuple[str, Provider]] = []
        jobs: list[str] = []
        for each in parameters:
            if is_provided(each):
                needs.append((each.name, self.provider(each.default.provider)))
            elif has_to_be_given(each):
                if not _asks_for_job(called, each) or each.kind is Parameter.POSITIONAL_ONLY:
                    raise self.refusal(
                        f"provider {name_of(function)} needs {each.name!r}, which nothing gives:"
                        " allowed are Depends(...), a default, and the annotation RunningJob"
                    )
                jobs.append(each.name)
        return Provider(function, self._kind(called), tuple(needs), tuple(jobs))

    def _kind(self, called: Callable[..., Any]) -> Kind:
        kind = _kind(called)
        if kind == "value" and not inspect.isclass(called):
            inner = _kind(inspect.unwrap(called))
            if inner in ("generator", "async generator"):
                raise self.refusal(
                    f"provider {name_of(called)} wraps a generator: leave out @contextmanager"
                )
        return kind


def _called(function: Any) -> Callable[..., Any]:
    """Return what tells the kind of a provider: of an object with ``__call__``, that method."""
    if inspect.isroutine(function) or inspect.isclass(function) or isinstance(function, partial):
        return function
    called: Callable[..., Any] = function.__call__
    return called


def _kind(function: Callable[..., Any]) -> Kind:
    if inspect.isasyncgenfunction(function):
        return "async generator"
    if inspect.isgeneratorfunction(function):
        return "generator"
    return "coroutine" if inspect.iscoroutinefunction(function) else "value"


def _asks_for_job(function: Callable[..., Any], parameter: Parameter) -> bool:
    annotation = parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = typing.get_type_hints(function).get(parameter.name)
        except Exception:  # a name that exists for the type checker only
            return str(annotation).strip("'\"").rpartition(".")[2] == "RunningJob"
    return isinstance(annotation, type) and issubclass(annotation, CurrentJob)
