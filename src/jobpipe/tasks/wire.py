"""Which values cross the wire as JSON, by the declared type, and how.

The limits are judged here on the JSON text alone, so a verdict is the same on every store.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import inspect

MAX_DEPTH = 64
"""Deepest nesting of lists and objects, counted from the object of all arguments."""
MIN_INT, MAX_INT = -(2**63), 2**64 - 1
SUPPORTED = (
    "str, int, float, bool, None, bytes, datetime, date, time, timedelta, UUID, Decimal, Path, "
    "Enum, list, tuple, set, frozenset, dict, dataclasses, TypedDict, NamedTuple, msgspec structs, "
    "their unions, and Any"
)

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_LONG = re.compile(rb"[0-9]{19}")
_LONG_INT = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_BRACKETS = bytes.maketrans(b"[{]}", b"(())")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")


def to_wire(value: Any) -> Any:
    """Tell msgspec how to write what it does not know itself."""
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError(f"a value of type {type(value).__qualname__} has no JSON form")


def from_wire(kind: type, value: Any) -> Any:
    """Tell msgspec how to read what it does not know itself."""
    if issubclass(kind, PurePath):
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        return kind(value)
    raise NotImplementedError(f"type {kind.__qualname__} has no JSON form")


encode = msgspec.json.Encoder(enc_hook=to_wire).encode
_encode_sorted = msgspec.json.Encoder(enc_hook=to_wire, order="deterministic").encode
_decode = msgspec.json.Decoder().decode


def encode_sorted(value: Any) -> bytes:
    """Encode with sets in sorted order, so that equal values make equal texts."""
    try:
        return _encode_sorted(value)
    except TypeError:  # members that cannot be compared keep the order they come in
        return encode(value)


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return a strict decoder of values of the type ``kind``."""
    return msgspec.json.Decoder(kind, dec_hook=from_wire)


def schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema of a struct; what it refers to stands in its ``$defs``."""
    whole = msgspec.json.schema(kind, schema_hook=_schema_of)
    others: dict[str, Any] = whole["$defs"]
    own: dict[str, Any] = others.pop(whole["$ref"].rpartition("/")[2])
    return own | ({"$defs": others} if others else {})


def _schema_of(kind: type) -> dict[str, Any]:
    if issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    raise NotImplementedError(f"type {kind.__qualname__} has no JSON form")


def why_unsupported(kind: Any) -> str | None:
    """Say why values declared as ``kind`` cannot travel, or None when they can."""
    try:
        nodes = _nodes(kind)
    except Exception as error:  # user classes may raise anything while they are inspected
        return str(error)
    for node in nodes:
        if isinstance(node, inspect.RawType | inspect.ExtType):
            return f"type {type(node).__name__.removesuffix('Type')} is not supported"
        if isinstance(node, inspect.CustomType) and not _is_path(node.cls):
            return f"type {getattr(node.cls, '__qualname__', node.cls)} is not supported"
    return None


def holds_sets(kind: Any) -> bool:
    """Tell whether values declared as ``kind`` may hold sets, which have no order of their own."""
    return any(isinstance(node, inspect.SetType | inspect.FrozenSetType) for node in _nodes(kind))


def _nodes(kind: Any) -> list[inspect.Type]:
    todo: list[Any] = [inspect.type_info(kind)]
    seen: dict[int, inspect.Type] = {}
    while todo:
        node = todo.pop()
        if isinstance(node, tuple | list):
            todo.extend(node)
        elif isinstance(node, inspect.Field):
            todo.append(node.type)
        elif isinstance(node, inspect.Type) and id(node) not in seen:
            seen[id(node)] = node
            todo.extend(getattr(node, name) for name in node.__struct_fields__)
    return list(seen.values())


def _is_path(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, PurePath)


def why_refused(data: bytes) -> str | None:
    """Say what in the JSON text ``data`` a store might not keep, or None when all is well."""
    if b"\\u0000" in data and _NUL.search(data):
        return "it holds a NUL character (\\u0000)"
    if too_deep(data):
        return f"it is nested deeper than {MAX_DEPTH} levels"
    if too_long_int(data):
        return f"it holds an integer outside {MIN_INT}..{MAX_INT}"
    return None


def too_deep(data: bytes) -> bool:
    """Tell whether lists and objects in the JSON text nest deeper than ``MAX_DEPTH``."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", data).translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):  # each pass removes exactly the innermost level
        brackets = brackets.replace(b"()", b"")
        if not brackets:
            return False
    return True


def too_long_int(data: bytes) -> bool:
    """Tell whether the JSON text holds an integer that not every reader can hold."""
    if not _LONG.search(data):
        return False
    numbers = _LONG_INT.findall(_STRING.sub(b'""', data))
    return any(
        len(number) > len(str(MIN_INT)) or not MIN_INT <= int(number) <= MAX_INT
        for number in numbers
    )


def read(text: str) -> Any:
    """Read JSON that we wrote, also where it holds escaped lone surrogates.

    Raises ValueError when the text is not JSON.
    """
    try:
        try:
            return _decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("the JSON text is nested too deep") from error


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
