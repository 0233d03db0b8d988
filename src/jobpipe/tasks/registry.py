# The first overload is the narrower one on purpose: a coroutine function is an AsyncTask.
# mypy: disable-error-code="overload-overlap"
# pyright: reportOverlappingOverload=false
"""The tasks of an application by name, and the decorator that declares them.

A registry is an object: nothing here is global. A name belongs to one task only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, overload

from jobpipe.errors import ConfigError, UnknownTask
from jobpipe.model.job import MAX_NAME_LENGTH
from jobpipe.model.takes import Takes
from jobpipe.policy.retry import RetryDelays
from jobpipe.tasks.command import CommandTask, declare_command
from jobpipe.tasks.gates import AnyConcurrency, AnyGroup, AnyRate
from jobpipe.tasks.hooks import Functions, Hooks
from jobpipe.tasks.limits import Limits
from jobpipe.tasks.remote import RemoteTask, declare_remote
from jobpipe.tasks.spec import Declared, declare
from jobpipe.tasks.task import AnyTask, AsyncTask, Enqueuer, Task
from jobpipe.tasks.unique import Unique

P = ParamSpec("P")
R = TypeVar("R")

OPTIONS = frozenset(field.name for field in fields(Declared))

REMOTE_OPTIONS = frozenset(
    {
        "queue_name",
        "priority",
        "max_attempts",
        "retry_delays",
        "timeout",
        "version",
        "aliases",
        "on_loss",
        "store_result",
        "tenant",
        "concurrency",
        "rate",
        "group",
        "unique",
    }
)

DeclaredTask: TypeAlias = AnyTask[..., Any]


class Registry:
    """The declared tasks by name, and the hooks around all of them."""

    def __init__(self) -> None:
        self.hooks = Hooks()
        self._tasks: dict[str, DeclaredTask] = {}
        self._named: dict[str, DeclaredTask] = {}
        """By each name that a task has or had."""

    def __iter__(self) -> Iterator[DeclaredTask]:
        return iter([self._tasks[name] for name in sorted(self._tasks)])

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, name: object) -> bool:
        return name in self._named

    def add(self, *tasks: DeclaredTask) -> None:
        """Add the tasks, all or none; raises ConfigError when a name or an alias is taken."""
        named = {name: task for task in tasks for name in _names(task)}
        for task in tasks:
            for name in _names(task):
                other = self._named.get(name, named[name])
                if other is not task:
                    raise _clash(name, other, task)
        self._tasks.update((task.name, task) for task in tasks)
        self._named.update(named)

    def check(self) -> None:
        """Raise ConfigError when the upgrades of a task do not lead to its version."""
        for task in self:
            task.versions.check()

    def run_here(self) -> list[Takes]:
        """Return what a worker of ours can run, by each name under which jobs may be stored."""
        return [
            Takes(name, task.versions.oldest, task.versions.current)
            for task in self
            if not isinstance(task, RemoteTask)
            for name in _names(task)
        ]

    def names_of(self, name: str) -> tuple[str, ...]:
        """Return all names of the task that has this one, its own first; none if there is none."""
        return _names(self._named[name]) if name in self._named else ()

    def get(self, name: str) -> DeclaredTask:
        """Return the task by its name or an alias; raises UnknownTask, which tells the nearest."""
        task = self._named.get(name)
        if task is None:
            shown = name[:MAX_NAME_LENGTH]  # so that a name of megabytes costs nothing to compare
            near = get_close_matches(shown, self._named, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UnknownTask(f"no task is named {shown!r}{hint}")
        return task


def _names(task: DeclaredTask) -> tuple[str, ...]:
    return task.name, *task.spec.aliases


def _clash(name: str, other: DeclaredTask, task: DeclaredTask) -> ConfigError:
    if name in (other.name, task.name) and other.name != task.name:
        return ConfigError(
            f"the alias {name} of a task is the name of another: {_place(other)} and"
            f" {_place(task)}",
            help="Leave out the alias, or give the other task another name: @task(name=...).",
        )
    if other.name != task.name:
        return ConfigError(
            f"two tasks have the alias {name}: {other.name} and {task.name}",
            help="Leave out one of them: a stored job belongs to one task.",
        )
    return ConfigError(
        f"two tasks are named {name}: {_place(other)} and {_place(task)}",
        help="Give one of them another name: @task(name=...).",
    )


def _place(task: DeclaredTask) -> str:
    code = inspect.unwrap(task.function).__code__
    return f"{task.function.__module__} line {code.co_firstlineno}"


class Declaration:
    """A decorator that waits for its function."""

    def __init__(self, home: TaskDeclarations, options: dict[str, Any]) -> None:
        self._home = home
        self._options = options

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> DeclaredTask:
        return self._home._declared(function, self._options)


class TaskDeclarations:
    """The part of an application, and of ``Tasks``, that declares tasks."""

    registry: Registry
    _owner: TaskDeclarations | None = None

    def _enqueuer(self) -> Enqueuer | None:
        return self._owner._enqueuer() if self._owner else None

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        queue_name: str = "default",
        priority: int = 0,
        max_attempts: int | None = None,
        retry_delays: RetryDelays | Sequence[float] | str | None = None,
        timeout: float | timedelta | None = None,
        executor: Literal["async", "thread", "process"] | None = None,
        version: int = 1,
        aliases: Sequence[str] = (),
        retry_on: type[BaseException] | Sequence[type[BaseException]] = (),
        give_up_on: type[BaseException] | Sequence[type[BaseException]] = (),
        on_loss: Literal["retry", "fail"] = "retry",
        store_result: bool = True,
        limits: Limits | None = None,
        tenant: str | None = None,
        unique: Unique | str | bool | None = None,
        concurrency: AnyConcurrency | None = None,
        rate: AnyRate | None = None,
        group: AnyGroup | None = None,
        on_success: Functions = (),
        on_retry: Functions = (),
        on_failure: Functions = (),
    ) -> Declaration: ...
    def task(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Declare a function as a task: bare (``@jp.task``) or with options (``@jp.task(...)``)."""
        options = _known(options, OPTIONS, "task")
        if function is None:
            return Declaration(self, options)
        return self._declared(function, options)

    def command(
        self,
        name: str,
        /,
        run: Sequence[str],
        *,
        cwd: str | PurePath | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        ok_codes: Sequence[int] = (0,),
        limits: Limits | None = None,
        **options: Any,
    ) -> CommandTask:
        """Declare a command as a task: ``jp.command("thumb", ["convert", "{src}", "{dst}"])``.

        The placeholders are its parameters; the other options are those of ``task``.
        """
        task = declare_command(
            self,
            name,
            run,
            cwd=cwd,
            env=env,
            stdin=stdin,
            ok_codes=ok_codes,
            limits=limits,
            options=_known(options, OPTIONS - {"name", "executor", "limits"}, f"command {name}"),
        )
        self._add(task)
        return task

    def remote_task(self, name: str, /, **options: Any) -> RemoteTask:
        """Declare a task that programs elsewhere run: ``jp.remote_task("thumb")``.

        Its jobs take any JSON arguments. The options are those of ``task`` that are not about a
        function: ``queue_name``, ``priority``, ``max_attempts``, ``retry_delays``, ``timeout``,
        ``version``, ``aliases``, ``on_loss``, ``store_result``, ``tenant``, ``unique``,
        ``concurrency``, ``rate`` and ``group``.
        """
        task = declare_remote(self, name, _known(options, REMOTE_OPTIONS, f"remote task {name}"))
        self._add(task)
        return task

    def include(self, tasks: Tasks) -> None:
        """Take over tasks that were declared elsewhere; later ones follow by themselves."""
        given: object = tasks
        if not isinstance(given, Tasks):
            raise ConfigError(f"include() takes a Tasks object, not {type(given).__qualname__}")
        if any(home is tasks for home in self._homes()):
            raise ConfigError("tasks cannot include themselves")
        if tasks._owner is not None and tasks._owner is not self:
            raise ConfigError("these tasks are included in another application already")
        for home in reversed(self._homes()):  # the outermost knows every name, so all or none
            home.registry.add(*tasks.registry)
        tasks._owner = self

    def _homes(self) -> list[TaskDeclarations]:
        homes: list[TaskDeclarations] = [self]
        while homes[-1]._owner is not None:
            homes.append(homes[-1]._owner)
        return homes

    def _declared(self, function: Callable[..., Any], options: dict[str, Any]) -> DeclaredTask:
        spec = declare(function, **options)
        kind = AsyncTask if inspect.iscoroutinefunction(function) else Task
        task: DeclaredTask = kind(spec, function, self)
        self._add(task)
        return task

    def _add(self, task: DeclaredTask) -> None:
        for home in reversed(self._homes()):
            home.registry.add(task)


def _known(options: dict[str, Any], known: frozenset[str], what: str) -> dict[str, Any]:
    """Return the options; raises ConfigError for one that there is not."""
    for unknown in options.keys() - known:
        near = get_close_matches(unknown, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{what} has no option {unknown[:MAX_NAME_LENGTH]!r}{hint}")
    return options


class Tasks(TaskDeclarations):
    """Tasks declared before their application exists: ``jp.include(tasks)`` brings them in."""

    def __init__(self) -> None:
        self.registry = Registry()

    @property
    def is_free(self) -> bool:
        """Tell whether no application has taken these tasks in."""
        return self._owner is None
