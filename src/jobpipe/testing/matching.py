"""Which jobs a test asks for, and what it is told when there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from msgspec import Struct

from jobpipe.model.job import JobRecord
from jobpipe.model.state import State
from jobpipe.tasks import wire
from jobpipe.tasks.codec import decode_args
from jobpipe.tasks.options import refusal
from jobpipe.tasks.registry import DeclaredTask
from jobpipe.tasks.remote import RemoteTask

if TYPE_CHECKING:
    from jobpipe.tasks.job import Job

SHOWN_MAX = 20
"""Most jobs that a failed assertion lists."""

Arguments = Mapping[str, Any] | Sequence[Any]


class Wishes(TypedDict, total=False):
    """Which jobs a test asks for; what is left out does not matter."""

    args: Arguments | None
    """All arguments by position (``(1, 2)``) or some by name (``{"a": 1}``), of one task."""
    queue: str | None
    state: State | str | None
    within: timedelta | None
    """Longest time from now to the earliest start."""


class Wanted(Struct, frozen=True, kw_only=True):
    """The same, complete."""

    task: DeclaredTask | None
    args: Arguments | None = None
    queue: str | None = None
    state: State | str | None = None
    within: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse what fits no job whatever was enqueued: ``count=0`` would prove nothing."""
        if self.state is not None and self.state not in tuple(State):
            raise refusal("state", self.state, ", ".join(State))
        if self.within is not None and not isinstance(self.within, timedelta):
            raise refusal("within", self.within, "a timedelta")
        if self.task is not None and self.args is not None:
            _check_args(self.task, self.args)

    def fits(self, record: JobRecord, now: int) -> bool:
        """Tell whether the job is one of them."""
        starts_in = max(record.run_at or 0, now) - now
        return (
            (self.task is None or record.task == self.task.name)
            and self.queue in (None, record.queue)
            and self.state in (None, record.state)
            and (self.within is None or timedelta(microseconds=starts_in) <= self.within)
            and (self.task is None or self.args is None or _has(self.task, record, self.args))
        )

    def __str__(self) -> str:
        """Return it as it was asked for."""
        said = {
            "args": self.args,
            "queue": self.queue,
            "state": self.state and str(self.state),
            "within": self.within and str(self.within),
        }
        words = [f"{name}={value!r}" for name, value in said.items() if value is not None]
        return " ".join(["of any task" if self.task is None else self.task.name, *words])


def _check_args(task: DeclaredTask, wanted: Arguments) -> None:
    if isinstance(wanted, str | bytes) or not isinstance(wanted, Mapping | Sequence):
        raise refusal("args", wanted, "all by position, as in (1, 2), or some by name")
    if isinstance(task, RemoteTask):
        return
    if not isinstance(wanted, Mapping):
        task.signature.bind(wanted, {})
        return
    parameters = task.signature.python.parameters
    if not wanted.keys() <= parameters.keys():
        raise refusal("args", dict(wanted), f"arguments of {task.name}: {', '.join(parameters)}")


def _has(task: DeclaredTask, record: JobRecord, wanted: Arguments) -> bool:
    """Compare arguments: all of them by position, or only those that are named."""
    stored = _stored_args(task, record.args)
    if isinstance(wanted, Mapping):
        return isinstance(stored, Mapping) and all(
            name in stored and stored[name] == value for name, value in wanted.items()
        )
    if isinstance(task, RemoteTask):
        return bool(stored == list(wanted))
    return bool(stored == _whole(task, wanted, {}))


def _stored_args(task: DeclaredTask, text: str) -> Any:
    if isinstance(task, RemoteTask):
        return wire.read(text)
    return _whole(task, *decode_args(task.signature, text))


def _whole(task: DeclaredTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name, with the defaults of what it leaves out."""
    task.signature.bind(args, kwargs)
    bound = task.signature.python.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def listed(jobs: Sequence[Job[Any]]) -> str:
    """Return the newest jobs for an error message, a line each."""
    lines = [
        f"  job {job.id}: {record.task} {record.args} queue={record.queue} {record.state}"
        for job in jobs[-SHOWN_MAX:]
        if (record := job.record) is not None
    ]
    return "\n".join(lines) or "  none"
