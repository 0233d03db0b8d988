"""What people and programs are shown of tasks."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct

from jobpipe.tasks.codec import show
from jobpipe.tasks.registry import DeclaredTask
from jobpipe.tasks.remote import RemoteTask


class TaskView(Struct, frozen=True, kw_only=True):
    """A task that the application declares."""

    name: str
    queue: str
    priority: int
    executor: str
    signature: str
    doc: str
    version: int = 1
    """Of its arguments."""
    upgrades: list[int] = []
    """The versions from which an upgrade leads to the next one."""
    aliases: list[str] = []
    """Names that it had before."""
    options: dict[str, Any]
    """What it declares beside that; None means that the setting decides."""


class TaskDetail(TaskView, frozen=True, kw_only=True):
    """A task with what it takes."""

    args_schema: dict[str, Any] | None
    """The JSON Schema of its arguments by name; null where only programs elsewhere know them."""


V = TypeVar("V", bound=TaskView)


def task_view(task: DeclaredTask) -> TaskView:
    """Show a task."""
    return _view(TaskView, task)


def task_detail(task: DeclaredTask) -> TaskDetail:
    """Show a task with what it takes; raises ConfigError when its types cannot travel."""
    schema = None if isinstance(task, RemoteTask) else task.signature.schema
    return _view(TaskDetail, task, args_schema=schema)


def _view(kind: type[V], task: DeclaredTask, **more: Any) -> V:
    spec = task.spec
    return kind(
        name=spec.name,
        queue=spec.queue,
        priority=spec.priority,
        executor=spec.executor,
        signature=signature_text(task.signature.python),
        doc=(inspect.getdoc(task.function) or "").strip().split("\n", 1)[0],
        version=spec.version,
        upgrades=list(task.versions.upgrades),
        aliases=list(spec.aliases),
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
        **more,
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
