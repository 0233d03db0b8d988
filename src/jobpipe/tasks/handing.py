"""Results handed on: what stands in a call for the result of a job that has not run yet.

What is stored of it is data: a JSON pointer into the arguments, and whose result goes there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from jobpipe.errors import InvalidArguments
from jobpipe.tasks import wire
from jobpipe.tasks.codec import trouble_with
from jobpipe.tasks.signature import Signature


class Handed:
    """Stands for the result of a node; as an argument, or in lists and dicts of one."""

    __slots__ = ("node",)

    def __init__(self, node: object | None) -> None:
        self.node = node
        """None: the link before, of a chain."""

    def __repr__(self) -> str:
        return "previous" if self.node is None else f"<the result of {self.node!r}>"


previous: Any = Handed(None)
"""In a call that is a link of a chain: the result of the link before."""

Places: TypeAlias = tuple[tuple[str, Handed], ...]
"""JSON pointers into the arguments, each with what stands there."""


def holds_handed(value: object) -> bool:
    """Tell whether a result is handed on in the value."""
    if isinstance(value, Mapping):
        return any(map(holds_handed, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_handed, value))
    return isinstance(value, Handed)


def encode_handing(
    signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, Places]:
    """Return the JSON object of the arguments, with null where results go, and those places.

    Raises InvalidArguments when they do not fit the signature, or an argument in which nothing is
    handed on does not fit its type.
    """
    bound = signature.bind(args, kwargs)
    places: list[tuple[str, Handed]] = []
    for each in signature.parameters:
        if each.name not in bound:
            continue
        value = bound[each.name]
        if holds_handed(value):
            bound[each.name] = _emptied(value, f"/{_step(each.name)}", places)
        elif trouble := trouble_with(value, each.decoder):
            raise InvalidArguments(f"task {signature.task}: argument {each.name!r}: {trouble}")
    data = b""
    try:
        data = signature.encode(bound)
        refused = wire.why_refused(data)
    except Exception as error:  # encoding may run user code
        refused = f"{type(error).__name__}: {error}"
    if refused:
        raise InvalidArguments(f"task {signature.task}: the arguments cannot be stored: {refused}")
    return data.decode(), tuple(places)


def emptied(args: Any) -> tuple[Any, Places]:
    """Return plain JSON arguments with null where results go, and those places."""
    places: list[tuple[str, Handed]] = []
    return _emptied(args, "", places), tuple(places)


def _emptied(value: Any, pointer: str, places: list[tuple[str, Handed]]) -> Any:
    if isinstance(value, Handed):
        places.append((pointer, value))
        return None
    if isinstance(value, Mapping):
        return {
            key: _emptied(each, f"{pointer}/{_step(_name(key))}", places)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_emptied(each, f"{pointer}/{index}", places) for index, each in enumerate(value)]
    return value


def _name(key: Any) -> str:
    """Return how JSON writes the key of a mapping."""
    return str(msgspec.to_builtins({key: None}, str_keys=True).popitem()[0])


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
