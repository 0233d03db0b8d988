"""The parameters of a task: their names, kinds and types, and how a call binds to them.

Annotations are resolved at first use, since a task may be declared before the types it names.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter
from types import SimpleNamespace
from typing import Any

import msgspec

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.tasks import wire
from jobpipe.tasks.depends import is_provided


@dataclass(frozen=True)
class TypedParameter:
    """One parameter with its resolved type (``Any`` when it has none)."""

    name: str
    kind: Any
    required: bool
    type: Any

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        return wire.decoder(self.type)


class Signature:
    """What a task accepts and returns."""

    def __init__(self, task: str, function: Callable[..., Any]) -> None:
        self.task = task
        self.function = function

    @cached_property
    def python(self) -> inspect.Signature:
        """The parameters that a job has arguments for: none that a worker provides.

        Those after one that is provided go by name, since the places are the function's own.
        """
        whole = inspect.signature(self.function)
        if not self.provided:
            return whole
        asked: list[Parameter] = []
        by_name = False
        for each in whole.parameters.values():
            if each.name in self.provided:
                by_name = True
            elif by_name and each.kind is Parameter.POSITIONAL_OR_KEYWORD:
                asked.append(each.replace(kind=Parameter.KEYWORD_ONLY))
            else:
                asked.append(each)
        return whole.replace(parameters=asked)

    @cached_property
    def provided(self) -> frozenset[str]:
        """The names of parameters that a worker provides (``Depends``)."""
        parameters = inspect.signature(self.function).parameters.values()
        return frozenset(each.name for each in parameters if is_provided(each))

    @cached_property
    def parameters(self) -> tuple[TypedParameter, ...]:
        """The parameters; raises ConfigError when a type cannot be resolved or cannot travel."""
        return tuple(
            TypedParameter(
                parameter.name,
                parameter.kind,
                parameter.default is Parameter.empty
                and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD),
                self._type_of(parameter),
            )
            for parameter in self.python.parameters.values()
        )

    @cached_property
    def returns(self) -> Any:
        """The type of the result; ``Any`` when it is unknown or cannot travel as that type."""
        annotation = self.python.return_annotation
        if annotation is inspect.Signature.empty:
            return Any
        try:
            kind = self._resolve("return", annotation)
        except Exception:  # a name that exists for the type checker only, or any user code
            return Any
        return Any if kind is object or wire.why_unsupported(kind) else kind

    @cached_property
    def result_decoder(self) -> msgspec.json.Decoder[Any]:
        return wire.decoder(self.returns)

    @cached_property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Pairs of (field of the decoded arguments, name of the parameter)."""
        return tuple((f"p{index}", each.name) for index, each in enumerate(self.parameters))

    @cached_property
    def fields(self) -> dict[str, str]:
        return {name: field for field, name in self.names}

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes the object of all arguments; absent ones are ``msgspec.UNSET``."""
        fields = [
            (field, each.type, msgspec.field(name=each.name, default=msgspec.UNSET))
            for (field, _), each in zip(self.names, self.parameters, strict=True)
        ]
        return wire.decoder(msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True))

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the object of all arguments."""
        fields = [
            (field, each.type, msgspec.field(name=each.name))
            if each.required
            else (field, each.type, msgspec.field(name=each.name, default=msgspec.UNSET))
            for (field, _), each in zip(self.names, self.parameters, strict=True)
        ]
        kind = msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True, kw_only=True)
        return wire.schema(kind)

    @cached_property
    def encode(self) -> Callable[[Any], bytes]:
        """Encodes the object of all arguments: equal calls make equal texts."""
        sets = any(wire.holds_sets(each.type) for each in self.parameters)
        return wire.encode_sorted if sets else wire.encode

    @cached_property
    def required(self) -> frozenset[str]:
        return frozenset(each.name for each in self.parameters if each.required)

    @cached_property
    def _plain(self) -> bool:
        """No positional-only, ``*args`` or ``**kwargs``: a call can be bound by plain look-ups."""
        simple = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        return all(each.kind in simple for each in self.parameters)

    @cached_property
    def _positional(self) -> tuple[str, ...]:
        kind = Parameter.POSITIONAL_OR_KEYWORD
        return tuple(each.name for each in self.parameters if each.kind is kind)

    @cached_property
    def _places(self) -> tuple[tuple[str, ...], int]:
        """The parameters by place, and how many arguments a call needs that names none of them."""
        if not self._plain or not self.required <= {*self._positional}:
            return (), 1
        return self._positional, len(self.required)

    @cached_property
    def _order(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.parameters)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given arguments by name, in the order of the parameters.

        Raises InvalidArguments when they do not fit."""
        if not kwargs:
            places, least = self._places
            if least <= len(args) <= len(places):
                return dict(zip(places, args, strict=False))
        if self.provided and not self.provided.isdisjoint(kwargs):
            names = ", ".join(sorted(self.provided & kwargs.keys()))
            raise InvalidArguments(
                f"task {self.task}: {names} is provided by the worker (Depends), and no argument"
            )
        if self._plain and len(args) <= len(self._positional):
            bound = dict(zip(self._positional, args, strict=False))
            if kwargs:
                bound.update(kwargs)
                bound = {name: bound[name] for name in self._order if name in bound} | bound
            if (
                len(bound) == len(args) + len(kwargs)
                and bound.keys() <= self.fields.keys()
                and bound.keys() >= self.required
            ):
                return bound
        try:
            return dict(self.python.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise InvalidArguments(f"task {self.task}: {error}") from None

    def spread(self, bound: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn arguments by parameter name into those of a call."""
        if self._plain:
            return (), bound
        call = inspect.BoundArguments(self.python, bound)
        return call.args, call.kwargs

    def _type_of(self, parameter: Parameter) -> Any:
        kind: Any = Any
        if parameter.annotation is not Parameter.empty:
            try:
                kind = self._resolve(parameter.name, parameter.annotation)
            except Exception as error:  # evaluating an annotation runs user code
                raise self._refusal(
                    parameter.name, f"its annotation cannot be resolved: {error}"
                ) from error
        if kind is object:
            kind = Any
        if parameter.kind is Parameter.VAR_POSITIONAL:
            kind = _generic(tuple, kind, ...)
        elif parameter.kind is Parameter.VAR_KEYWORD:
            unpacked = typing.get_origin(kind) is typing.Unpack
            kind = typing.get_args(kind)[0] if unpacked else _generic(dict, str, kind)
        trouble = wire.why_unsupported(kind)
        if trouble:
            raise self._refusal(parameter.name, trouble)
        return kind

    def _resolve(self, name: str, annotation: Any) -> Any:
        function = inspect.unwrap(self.function)
        names = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
        holder = SimpleNamespace(__annotations__={name: annotation})
        scope = getattr(function, "__globals__", {})
        hints = typing.get_type_hints(holder, scope, dict(names), include_extras=True)
        return hints[name]

    def _refusal(self, parameter: str, trouble: str) -> ConfigError:
        return ConfigError(
            f"task {self.task}: parameter {parameter!r} cannot be stored as JSON: {trouble}",
            help=f"Annotate the parameter with types that travel as JSON: {wire.SUPPORTED}.",
        )


def _generic(container: Any, *items: Any) -> Any:
    return container[items]
