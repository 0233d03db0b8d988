"""Calls in plain JSON to which results are handed on: where, is told by JSON pointers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jobpipe.app.requests import places_of
from jobpipe.errors import InvalidArguments
from jobpipe.tasks.codec import show
from jobpipe.tasks.flow import Node
from jobpipe.tasks.handing import Handed, holds_handed
from jobpipe.tasks.registry import DeclaredTask
from jobpipe.tasks.remote import RemoteTask
from jobpipe.tasks.task import Call


def call_handing(
    task: DeclaredTask,
    args: Mapping[str, Any] | Sequence[Any],
    results: Mapping[str, Node[Any]],
    options: Mapping[str, Any],
) -> Call[Any]:
    """Return a checked call of JSON arguments; ``results`` says where those of nodes go.

    Raises InvalidArguments when the other arguments do not fit, or a pointer leads nowhere.
    """
    filled: Any = dict(args) if isinstance(args, Mapping) else list(args)
    for pointer, node in results.items():
        node.result  # noqa: B018  refuses what has none
        _put(filled, pointer, Handed(node))
    if isinstance(task, RemoteTask):
        return task.using(**options).call_by_json(filled)
    signature = task.signature
    by_place, by_name = places_of(signature, filled) if isinstance(filled, dict) else (filled, {})
    named = signature.bind(tuple(by_place), by_name)
    for each in signature.parameters:
        if each.name in named and not holds_handed(named[each.name]):
            try:
                named[each.name] = each.decoder.decode(msgspec.json.encode(named[each.name]))
            except Exception as error:  # a __post_init__ of the user's may raise anything
                raise InvalidArguments(
                    f"task {task.name}: argument {each.name!r}: {error}"
                ) from None
    positional, keyword = signature.spread(named)
    return task.using(**options).call(*positional, **keyword)


def _put(args: Any, pointer: str, value: Handed) -> None:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")]
    if steps[0] or len(steps) < 2:
        raise _lost(pointer)
    within = args
    try:
        for step in steps[1:-1]:
            within = within[_index(step) if isinstance(within, list) else step]
        if isinstance(within, list):
            within[_index(steps[-1])] = value
        else:
            within[steps[-1]] = value
    except (KeyError, IndexError, ValueError, TypeError):
        raise _lost(pointer) from None


def _index(step: str) -> int:
    """Return the place in a list, as JSON pointers write it: counted from 0, in plain digits."""
    if not step.isascii() or not step.isdigit() or len(step) > 9 or str(int(step)) != step:
        raise ValueError
    return int(step)


def _lost(pointer: str) -> InvalidArguments:
    return InvalidArguments(
        f"the pointer {show(pointer)} leads to no place in the arguments",
        help='Write "/name" for an argument, "/name/0" for the first place in a list that is one.',
    )
