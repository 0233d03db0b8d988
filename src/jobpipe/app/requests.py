"""What fronts ask for, turned into values: calls by name, filters by words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jobpipe.errors import InvalidArguments
from jobpipe.model.state import State
from jobpipe.store.ops.read import Filter
from jobpipe.tasks.codec import Undecodable, decode_args
from jobpipe.tasks.registry import DeclaredTask
from jobpipe.tasks.task import Call


def call_by_json(
    task: DeclaredTask, args: Mapping[str, Any] | Sequence[Any], options: Mapping[str, Any]
) -> Call[Any]:
    """Return a checked call of plain JSON arguments, by name or by position.

    Raises InvalidArguments when they do not fit the task's signature or its types.
    """
    if isinstance(args, Mapping):
        named = task.signature.bind((), args)
    else:
        named = task.signature.bind(tuple(args), {})
    try:
        text = msgspec.json.encode(named).decode()
        positional, keyword = decode_args(task.signature, text)
    except (Undecodable, TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(str(error)) from None
    return task.using(**options).call(*positional, **keyword)


def job_filter(
    state: str | None, queue: str | None, task: str | None, before: int | None
) -> Filter:
    """Return the filter of these words; raises InvalidArguments for an unknown state."""
    if state is not None and state not in list(State):
        allowed = ", ".join(State)
        raise InvalidArguments(f"no state is named {state!r}; allowed: {allowed}")
    return Filter(state=State(state) if state else None, queue=queue, task=task, before=before)
