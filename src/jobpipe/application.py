"""``Jobpipe``: the application that declares tasks, enqueues jobs, answers about them, runs them.

Every verb stands in a pair, blocking and awaited; most come from ``verbs/``.
The store is opened, and its schema brought up to date, by the first verb that needs it. What runs
jobs is loaded by the first worker: who only enqueues does without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from jobpipe import failpoint
from jobpipe.access import Access, reach
from jobpipe.app import requests
from jobpipe.clock import Clock
from jobpipe.config.load import load_effective
from jobpipe.config.settings import Settings
from jobpipe.delivery.hub import Hub
from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.tasks.codec import show
from jobpipe.tasks.hooks import HookDeclarations
from jobpipe.tasks.job import Job
from jobpipe.tasks.limits import Limits
from jobpipe.tasks.registry import DeclaredTask, Registry, TaskDeclarations
from jobpipe.tasks.remote import declare_remote
from jobpipe.tasks.spec import is_name
from jobpipe.tasks.task import Call, Enqueuer
from jobpipe.verbs import Verbs

if TYPE_CHECKING:
    from jobpipe.http.service import Service

R = TypeVar("R")


class Jobpipe(Verbs, TaskDeclarations, HookDeclarations):
    """An application: its tasks, its store and its settings.

    ``url`` and the keyword arguments are settings by field name; they count more than the
    environment. Raises ConfigError when a setting is wrong.
    """

    def __init__(
        self, url: str | None = None, *, clock: Clock | None = None, **settings: object
    ) -> None:
        self.registry = Registry()
        self.hooks = self.registry.hooks
        self.hub = Hub()
        self._clock = clock
        self._configure({"url": url, **settings})

    def configured(self, **overrides: object) -> Self:
        """Take over settings that count more than all others, before the store is used."""
        self._access.close()
        given = {name: value for name, value in overrides.items() if value is not None}
        self._configure({**self._overrides, **given})
        return self

    def _configure(self, overrides: dict[str, object]) -> None:
        self._overrides = overrides
        self.effective = load_effective(overrides)
        self._access = reach(self.settings, self.hub, self._clock)
        self._declare_from_files()
        if self.settings.failpoints:
            failpoint.arm(self.settings.failpoints)

    @contextmanager
    def reaching(
        self, reach: Callable[[Settings, Hub], Access], **overrides: object
    ) -> Iterator[None]:
        """Be answered from elsewhere, by other settings, while the block lasts (for tests)."""
        kept = self._overrides, self.effective, self.hub, self._access
        changed = {**self._overrides, **overrides}
        self.effective = load_effective(changed)
        self._overrides, self.hub = changed, Hub()
        self._access = reach(self.settings, self.hub)
        try:
            yield
        finally:
            self.close()
            self._overrides, self.effective, self.hub, self._access = kept

    def _declare_from_files(self) -> None:
        """Declare the commands and the remote tasks of the files, unless that has been done."""
        for name, options in self.effective.commands.items():
            if name not in self.registry:
                limits = options.get("limits")
                given = options if limits is None else {**options, "limits": Limits(**limits)}
                self.command(name, **given)
        for name, options in self.effective.remote_tasks.items():
            if name not in self.registry:
                self.remote_task(name, **options)

    # Enqueue

    def enqueue_call(self, call: Call[R], on: object | None) -> Job[R]:
        """Store one call, in the caller's transaction if ``on`` is a connection."""
        (answer,) = self._access.enqueue([call], on)
        return Job(self, answer.id, answer.state, signature=call.signature, stored=answer)

    async def aenqueue_call(self, call: Call[R], on: object | None) -> Job[R]:
        """Store one call like ``enqueue_call``."""
        (answer,) = await self._access.aenqueue([call], on)
        return Job(self, answer.id, answer.state, signature=call.signature, stored=answer)

    def enqueue_many(self, calls: Iterable[Call[Any]], *, on: object | None = None) -> list[int]:
        """Store many calls, all or none; returns their ids in order."""
        calls = _calls(calls)
        answers = self._access.enqueue(calls, _one_connection(calls, on))
        return [answer.id for answer in answers]

    async def aenqueue_many(
        self, calls: Iterable[Call[Any]], *, on: object | None = None
    ) -> list[int]:
        """Store many calls like ``enqueue_many``."""
        calls = _calls(calls)
        answers = await self._access.aenqueue(calls, _one_connection(calls, on))
        return [answer.id for answer in answers]

    def call_named(
        self, name: str, args: Mapping[str, Any] | Sequence[Any] = (), **options: Any
    ) -> Call[Any]:
        """Return a checked call by the task's name, for ``enqueue_many``; options as in ``using``.

        Raises UnknownTask, InvalidArguments.
        """
        return requests.call_by_json(self.task_named(name), args, options)

    def task_named(self, name: str) -> DeclaredTask:
        """Return the task of that name; raises UnknownTask.

        A service may know more tasks than are declared here, so over HTTP any name will do.
        """
        if self.is_service and name not in self.registry and is_name(name):
            return declare_remote(self, name, {})
        return self.registry.get(name)

    def enqueue_named(
        self, name: str, args: Mapping[str, Any] | Sequence[Any] = (), **options: Any
    ) -> Job[Any]:
        """Store a call by the task's name with plain JSON arguments; options as in ``using``."""
        call = self.call_named(name, args, **options)
        return self.enqueue_call(call, call.options.on)

    async def aenqueue_named(
        self, name: str, args: Mapping[str, Any] | Sequence[Any] = (), **options: Any
    ) -> Job[Any]:
        """Store a call by name like ``enqueue_named``."""
        call = self.call_named(name, args, **options)
        return await self.aenqueue_call(call, call.options.on)

    def asgi(self, *, worker: bool = False) -> Service:
        """Return the HTTP service of this application, to be served or mounted under a prefix.

        A host that mounts it enters ``service.lifespan()`` in its own lifespan; with ``worker``
        that also runs the jobs in the host's process. Raises ConfigError when the extra
        ``server`` is not installed.
        """
        try:
            from jobpipe.http.asgi import asgi
        except ImportError as error:
            raise ConfigError(
                f"the HTTP service needs starlette and uvicorn: {error}",
                help='Install them: pip install "jobpipe[server]"',
            ) from error
        return asgi(self, worker=worker)

    def _enqueuer(self) -> Enqueuer | None:
        return self


def _calls(given: Iterable[Any]) -> list[Call[Any]]:
    """Return what is to be enqueued; a task that was called plainly has run and is no call."""
    calls = list(given)
    for each in calls:
        if not isinstance(each, Call):
            raise InvalidArguments(
                f"enqueue_many takes calls of tasks, not {show(each)}",
                help="Write task.call(...): it asks for a job, while task(...) runs the function.",
            )
    return calls


def _one_connection(calls: Sequence[Call[Any]], on: object | None) -> object | None:
    """Return the connection for all calls; they are stored together, so there can be but one."""
    given = [call.options.on for call in calls if call.options.on is not None]
    if on is None and given:
        on = given[0]
    if any(other is not on for other in given):
        raise InvalidArguments("calls of one enqueue_many name different connections in on=")
    return on
