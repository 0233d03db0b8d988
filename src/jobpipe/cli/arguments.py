"""Reads the arguments of a task from ``key=value`` pairs and from JSON text."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter
from typing import Any

import click

from jobpipe.errors import InvalidArguments
from jobpipe.tasks import wire
from jobpipe.tasks.signature import Signature, TypedParameter
from jobpipe.telemetry.escape import escape


def read_arguments(
    signature: Signature, pairs: Sequence[str], json_args: str | None
) -> dict[str, Any] | list[Any]:
    """Return the arguments as plain JSON values; raises UsageError."""
    given = {} if json_args is None else _from_json(json_args)
    if not pairs:
        return given
    if isinstance(given, list):
        raise click.UsageError("--args with an array cannot be joined by KEY=VALUE.")
    parameters = {each.name: each for each in signature.parameters}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{escape(pair)!r} is not of the form KEY=VALUE.")
        if name in given:
            raise click.UsageError(f"The argument {escape(name)!r} is given twice.")
        given[name] = _value(parameters.get(name) or _catch_all(signature), name, text)
    return given


def _from_json(text: str) -> dict[str, Any] | list[Any]:
    try:
        value = wire.read(text)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {escape(str(error))}", param_hint="--args") from None
    if isinstance(value, dict | list):
        return value
    raise click.BadParameter("neither a JSON object nor a JSON array", param_hint="--args")


def _value(parameter: TypedParameter | None, name: str, text: str) -> Any:
    """Return what the text says in JSON, if the parameter takes that, or else the text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArguments(f"argument {escape(name)!r} is not UTF-8") from None
    if parameter is None:
        return text
    catches = parameter.kind is Parameter.VAR_KEYWORD
    try:
        candidate = wire.encode({name: wire.read(text)}) if catches else text.encode()
        parameter.decoder.decode(candidate)
    except Exception:  # no JSON, another type, or whatever a type of the user's raises
        return text
    return wire.read(text)


def _catch_all(signature: Signature) -> TypedParameter | None:
    kinds = (each for each in signature.parameters if each.kind is Parameter.VAR_KEYWORD)
    return next(kinds, None)
