"""``Jobpipe``: the application that declares tasks, enqueues jobs, answers about them, runs them.

Every verb stands in a pair, blocking and awaited; those about stored jobs come from ``verbs.py``.
The store is opened, and its schema brought up to date, by the first verb that needs it. What runs
jobs is loaded by the first worker: who only enqueues does without.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from jobpipe import failpoint
from jobpipe.access import Access
from jobpipe.app import requests
from jobpipe.bootstrap import absolute
from jobpipe.clock import Clock
from jobpipe.config.document import as_texts
from jobpipe.config.environment import child_environment, whole_environment
from jobpipe.config.load import load_effective
from jobpipe.config.settings import Settings
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.errors import InvalidArguments
from jobpipe.model.job import Enqueued, Lane, NewJob
from jobpipe.model.state import State
from jobpipe.runtime.executors.origin import introduce
from jobpipe.runtime.gather import Gatherer
from jobpipe.runtime.options import ChildOptions, WorkerOptions, speech_options
from jobpipe.store.ops import inspect
from jobpipe.store.ops.discard import drop_bench_schema
from jobpipe.store.ops.enqueue import enqueue, enqueue_plain, lanes_of
from jobpipe.store.port import Operation
from jobpipe.tasks.codec import show
from jobpipe.tasks.hooks import HookDeclarations
from jobpipe.tasks.job import Job
from jobpipe.tasks.limits import Limits
from jobpipe.tasks.options import refusal
from jobpipe.tasks.registry import Registry, TaskDeclarations
from jobpipe.tasks.spec import NAME_ALLOWED, is_name
from jobpipe.tasks.task import Call, Defaults, Enqueuer
from jobpipe.verbs import Verbs

if TYPE_CHECKING:
    from jobpipe.app.diagnosis import Diagnosis
    from jobpipe.runtime.seat import Seat
    from jobpipe.runtime.supervisor.child import SupervisedSeat
    from jobpipe.runtime.worker import Worker

T = TypeVar("T")
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
        self._gatherer = Gatherer(self._store_gathered, self._astore_gathered)
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
        self._defaults = Defaults(
            max_attempts=self.settings.max_attempts,
            timeout_seconds=self.settings.timeout_seconds,
            max_payload=self.settings.max_payload,
        )
        self._access = Access(self.settings, self.hub, self._clock)
        self._declare_commands()
        if self.settings.failpoints:
            failpoint.arm(self.settings.failpoints)

    def _declare_commands(self) -> None:
        """Declare the commands of the files, unless that has been done."""
        for name, options in self.effective.commands.items():
            if name not in self.registry:
                limits = options.get("limits")
                given = options if limits is None else {**options, "limits": Limits(**limits)}
                self.command(name, **given)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.effective.settings

    @property
    def defaults(self) -> Defaults:
        """What counts where neither a task nor a call says otherwise."""
        return self._defaults

    # Enqueue

    def enqueue_call(self, call: Call[R], on: object | None) -> Job[R]:
        """Store one call, in the caller's transaction if ``on`` is a connection."""
        job = call.new_job(self._defaults)
        if on is None and self._may_share(job):
            answer = self._gatherer.enqueue(job)
        else:
            (answer,) = self._enqueue([job], on)
        return Job(self, answer.id, answer.state, signature=call.signature)

    async def aenqueue_call(self, call: Call[R], on: object | None) -> Job[R]:
        """Store one call like ``enqueue_call``."""
        job = call.new_job(self._defaults)
        if on is None and self._may_share(job):
            answer = await self._gatherer.aenqueue(job)
        else:
            (answer,) = await self._aenqueue([job], on)
        return Job(self, answer.id, answer.state, signature=call.signature)

    def enqueue_many(self, calls: Iterable[Call[Any]], *, on: object | None = None) -> list[int]:
        """Store many calls, all or none; returns their ids in order."""
        calls = _calls(calls)
        jobs = [call.new_job(self.defaults) for call in calls]
        return [answer.id for answer in self._enqueue(jobs, _one_connection(calls, on))]

    async def aenqueue_many(
        self, calls: Iterable[Call[Any]], *, on: object | None = None
    ) -> list[int]:
        """Store many calls like ``enqueue_many``."""
        calls = _calls(calls)
        jobs = [call.new_job(self.defaults) for call in calls]
        return [answer.id for answer in await self._aenqueue(jobs, _one_connection(calls, on))]

    def call_named(
        self, name: str, args: Mapping[str, Any] | Sequence[Any] = (), **options: Any
    ) -> Call[Any]:
        """Return a checked call by the task's name, for ``enqueue_many``; options as in ``using``.

        Raises UnknownTask, InvalidArguments.
        """
        return requests.call_by_json(self.registry.get(name), args, options)

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

    def _enqueue(self, jobs: list[NewJob], on: object | None) -> list[Enqueued]:
        if not jobs:
            return []
        operation = self._enqueuing(jobs)
        if on is not None:
            return self._access.run_on(on, operation)
        return self._enqueued(jobs, self._access.run(operation))

    async def _aenqueue(self, jobs: list[NewJob], on: object | None) -> list[Enqueued]:
        if not jobs:
            return []
        operation = self._enqueuing(jobs)
        if on is not None:
            return await self._access.arun_on(on, operation)
        return self._enqueued(jobs, await self._access.arun(operation))

    def _enqueuing(self, jobs: Sequence[NewJob]) -> Operation[list[Enqueued]]:
        lanes, bound = self._access.known_lanes, self.settings.max_queued
        return enqueue(jobs, known_lanes=lanes, max_queued=bound)

    def _may_share(self, job: NewJob) -> bool:
        """Tell whether the job needs nothing but a row, so that others may share the statement."""
        if job.idempotency_key is not None or self.settings.max_queued is not None:
            return False
        return Lane(job.queue, job.priority) in self._access.known_lanes

    def _store_gathered(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return self._enqueued(jobs, self._access.run(enqueue_plain(jobs)))

    async def _astore_gathered(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return self._enqueued(jobs, await self._access.arun(enqueue_plain(jobs)))

    def _enqueued(self, jobs: Sequence[NewJob], answers: list[Enqueued]) -> list[Enqueued]:
        """The jobs are committed: their lanes are known now, and workers may look."""
        lowest: dict[tuple[str, int], int] = {}
        dues: list[int] = []
        for job, answer in zip(jobs, answers, strict=True):
            if answer.state is State.QUEUED:
                lane = (job.queue, job.priority)
                if answer.id < lowest.get(lane, requests.MAX_ID):
                    lowest[lane] = answer.id
            else:
                dues.append(job.delay_us or 0)
        lanes = {Lane(*lane): id for lane, id in lowest.items()}
        if not lanes.keys() <= self._access.known_lanes or dues:
            self._access.known_lanes = self._access.known_lanes.union(lanes_of(jobs))
        self.hub.ring(Hint(lanes, min(dues, default=None)))
        return answers

    # Its condition

    def diagnose(self) -> Diagnosis:
        """Look for what is wrong with the store and the work in it; changes nothing."""
        from jobpipe.app.diagnosis import diagnose

        backend = self._access.backend()
        return diagnose(backend.store, backend.probe, self.settings, self.registry)

    def durability(self) -> tuple[str, str]:
        """Return the version of the store's software, and how safe its commits are, in words."""
        backend = self._access.opened()
        if (file := backend.probe()) is not None:
            return f"SQLite {file.library}", f"synchronous={file.durability}"
        if backend.store.capabilities.exclusive_writer:
            return "SQLite in memory", "nothing is kept"
        facts = backend.store.run(inspect.server())
        fsync = "on" if facts.fsync else "off"
        return (
            f"PostgreSQL {facts.version}",
            f"fsync={fsync}, synchronous_commit={facts.synchronous_commit}",
        )

    def drop_bench(self) -> None:
        """Drop the schema that was made for a bench; the store refuses any other."""
        self._access.backend().store.run(drop_bench_schema(self.settings.schema))

    # Workers

    def running(self, **settings: object) -> AbstractContextManager[None]:
        """Run a worker in a thread for as long as the ``with`` block lasts.

        The keyword arguments are settings, such as ``concurrency=4`` or ``queues="mail"``.
        """
        from jobpipe.runtime import embedded

        self._access.opened()
        return embedded.in_thread(self._worker_maker(settings))

    def arunning(self, **settings: object) -> AbstractAsyncContextManager[None]:
        """Run a worker on this loop for as long as the ``async with`` block lasts."""
        from jobpipe.runtime import embedded

        return embedded.on_loop(self._worker_maker(settings), self._access.aopened)

    def drain(self, **settings: object) -> None:
        """Run everything that may run now, then return."""
        from jobpipe.runtime import embedded

        self._access.opened()
        embedded.to_the_end(self._worker_maker(settings, burst=True))

    async def adrain(self, **settings: object) -> None:
        """Run everything that may run now, then return."""
        await self._access.aopened()
        await self._worker_maker(settings, burst=True)().run()

    def run_worker(
        self, *, burst: bool = False, name: str | None = None, seat: SupervisedSeat | None = None
    ) -> int:
        """Run a worker as this program until a signal ends it; returns the exit code.

        ``seat`` is given in the processes of ``jobpipe worker``; without one nobody looks after
        this program when it dies.
        """
        from jobpipe.runtime import embedded
        from jobpipe.runtime.supervisor.facts import facts_of

        if name and not is_name(name):
            raise refusal("name", name, NAME_ALLOWED)
        store = self._access.opened().store
        if seat is not None:
            url = absolute(self.settings.url)
            facts = facts_of(self.settings, self.registry, url, store.capabilities.shared)
            seat.introduce(facts, self.settings.max_jobs)
        make = self._worker_maker({}, burst=burst, name=name, seat=seat)
        return embedded.as_program(make, seat)

    def _worker_maker(
        self,
        overrides: Mapping[str, object],
        *,
        burst: bool = False,
        name: str | None = None,
        seat: Seat | None = None,
    ) -> Callable[[], Worker]:
        from jobpipe.runtime.worker import Worker

        settings = self.settings
        if overrides:
            settings = load_effective({**self._overrides, **overrides}).settings
        options = WorkerOptions(
            name=name or f"{socket.gethostname()}-{os.getpid()}",
            queues=settings.queues,
            concurrency=settings.concurrency,
            poll_seconds=settings.poll_seconds,
            lease_seconds=settings.lease_seconds,
            pulse_seconds=settings.pulse_seconds,
            shutdown_seconds=settings.shutdown_seconds,
            retention=settings.retention,
            retry_delays=settings.retry_delays,
            max_payload=settings.max_payload,
            speech=speech_options(settings),
            children=self._child_options(settings),
        )

        def make() -> Worker:
            kit = self._access.backend().worker_kit(self.registry, self.hub)
            return Worker(kit, options, burst=burst, seat=seat)

        return make

    def _child_options(self, settings: Settings) -> ChildOptions:
        def environment(whole: bool) -> dict[str, str]:
            return whole_environment() if whole else child_environment(settings.process_env)

        return ChildOptions(
            hello=lambda: introduce(self, self.registry, as_texts(settings)),
            environment=environment,
            most=settings.concurrency,
            max_payload=settings.max_payload,
            pulse_seconds=settings.pulse_seconds,
        )

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
