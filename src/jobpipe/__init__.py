"""Background jobs that are never lost: a library and a service on SQLite or PostgreSQL.

from jobpipe import Jobpipe

jp = Jobpipe("sqlite:///jobs.db")

@jp.task
def add(a: int, b: int = 1) -> int:
    return a + b

job = add.enqueue(1, b=2)
with jp.running():
    print(job.result(timeout=5))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobpipe import errors as errors
    from jobpipe.application import Jobpipe
    from jobpipe.errors import JobpipeError
    from jobpipe.model.signals import Cancel, Fail, Retry, Snooze
    from jobpipe.model.state import Reason, State
    from jobpipe.runtime.context import RunningJob, current_job
    from jobpipe.tasks.command import CommandResult, CommandTask
    from jobpipe.tasks.depends import Depends
    from jobpipe.tasks.flow import Flow, Node
    from jobpipe.tasks.gates import Concurrency, Group, Rate
    from jobpipe.tasks.handing import previous
    from jobpipe.tasks.hooks import AsyncCallNext, CallNext
    from jobpipe.tasks.job import Job
    from jobpipe.tasks.limits import Limits
    from jobpipe.tasks.registry import Tasks
    from jobpipe.tasks.task import AsyncTask, Task
    from jobpipe.tasks.unique import Unique

__version__ = "0.1.0"


__all__ = [
    "AsyncCallNext",
    "AsyncTask",
    "CallNext",
    "Cancel",
    "CommandResult",
    "CommandTask",
    "Concurrency",
    "Depends",
    "Fail",
    "Flow",
    "Group",
    "Job",
    "Jobpipe",
    "JobpipeError",
    "Limits",
    "Node",
    "Rate",
    "Reason",
    "Retry",
    "RunningJob",
    "Snooze",
    "State",
    "Task",
    "Tasks",
    "Unique",
    "__version__",
    "current_job",
    "previous",
]

_HOMES = {
    "application": ("Jobpipe",),
    "errors": ("JobpipeError",),
    "model.signals": ("Cancel", "Fail", "Retry", "Snooze"),
    "model.state": ("Reason", "State"),
    "runtime.context": ("RunningJob", "current_job"),
    "tasks.command": ("CommandResult", "CommandTask"),
    "tasks.depends": ("Depends",),
    "tasks.flow": ("Flow", "Node"),
    "tasks.gates": ("Concurrency", "Group", "Rate"),
    "tasks.handing": ("previous",),
    "tasks.hooks": ("AsyncCallNext", "CallNext"),
    "tasks.job": ("Job",),
    "tasks.limits": ("Limits",),
    "tasks.registry": ("Tasks",),
    "tasks.task": ("AsyncTask", "Task"),
    "tasks.unique": ("Unique",),
}
"""The module of each name, imported when the name is first asked for: a command that needs none of
them, such as ``jobpipe --version``, answers at once."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "errors":
        return import_module("jobpipe.errors")
    for home, names in _HOMES.items():
        if name in names:
            value: object = getattr(import_module(f"jobpipe.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, "errors"})
