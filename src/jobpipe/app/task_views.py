"""What people and programs are shown of tasks."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from jobpipe.tasks.codec import show
from jobpipe.tasks.registry import DeclaredTask


class TaskView(Struct, frozen=True, kw_only=True):
    """A task that the application declares."""

    name: str
    queue: str
    priority: int
    executor: str
    signature: str
    doc: str
    options: dict[str, Any]
    """What it declares beside that; None means that the setting decides."""


def task_view(task: DeclaredTask) -> TaskView:
    """Show a task."""
    spec = task.spec
    return TaskView(
        name=spec.name,
        queue=spec.queue,
        priority=spec.priority,
        executor=spec.executor,
        signature=signature_text(task.signature.python),
        doc=(inspect.getdoc(task.function) or "").strip().split("\n", 1)[0],
        options={
            "max_attempts": spec.max_attempts,
            "retry_delays": None if spec.retry_delays is None else str(spec.retry_delays),
            "timeout_seconds": spec.timeout_seconds,
            "retry_on": _names(spec.retry_on),
            "give_up_on": _names(spec.give_up_on),
            "on_loss": spec.on_loss,
            "store_result": spec.store_result,
            "version": spec.version,
        },
    )


def signature_text(signature: inspect.Signature) -> str:
    """Return the signature as it is written in a declaration; never raises."""
    parameters = [
        each.replace(annotation=_written(each.annotation), default=_shown(each.default))
        for each in signature.parameters.values()
    ]
    returned = _written(signature.return_annotation)
    return str(signature.replace(parameters=parameters, return_annotation=returned))


class _Words:
    """Words that stand in a signature as they are."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _written(annotation: Any) -> Any:
    return _Words(annotation) if isinstance(annotation, str) else annotation


def _shown(default: Any) -> Any:
    return default if default is inspect.Parameter.empty else _Words(show(default))


def _names(classes: Sequence[type[BaseException]]) -> list[str]:
    return [f"{each.__module__}.{each.__qualname__}" for each in classes]
