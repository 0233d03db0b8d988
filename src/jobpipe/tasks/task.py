"""A declared task: still the function it was, and the way to enqueue it.

A task and the copies that ``using`` makes never change; where they enqueue to is asked of their
home (an application, or the ``Tasks`` they were declared in) at every call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.model.gate import GateKind, Wish
from jobpipe.model.job import NewJob
from jobpipe.model.marks import GATED, STARTS
from jobpipe.tasks import options as request
from jobpipe.tasks.codec import check_size, encode_args
from jobpipe.tasks.gates import (
    TENANT_OR_GROUP,
    AnyConcurrency,
    AnyGroup,
    AnyRate,
    Gates,
    check_given,
    group_of,
    wishes,
)
from jobpipe.tasks.handing import Places, encode_handing, holds_handed
from jobpipe.tasks.job import Job
from jobpipe.tasks.options import Options
from jobpipe.tasks.providers import find_dependencies
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.spec import TaskSpec
from jobpipe.tasks.unique import Unique, settled
from jobpipe.tasks.versions import Upgradable, Versions, stamp

P = ParamSpec("P")
R = TypeVar("R")

LOSSES_ALLOWED = 3
"""How often a job may be lost with its worker before it fails, unless its task forbids any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the application decides where neither the request nor the task does."""

    max_attempts: int = 5
    timeout_seconds: float | None = None
    max_payload: int = 1_048_576


class Enqueuer(Protocol):
    """The application, as tasks see it."""

    def enqueue_call(self, call: Call[R], on: object | None) -> Job[R]: ...
    async def aenqueue_call(self, call: Call[R], on: object | None) -> Job[R]: ...


class Home(Protocol):
    """Where a task was declared: it knows the application, once there is one."""

    def _enqueuer(self) -> Enqueuer | None: ...


class AnyTask(Generic[P, R]):
    """What the tasks of both kinds of function share; ``R`` is the type of the job's result."""

    __name__: str

    def __init__(self, spec: TaskSpec, function: Callable[P, Any], home: Home) -> None:
        update_wrapper(cast(Any, self), function)
        self.spec = spec
        self.function = function
        self.signature = Signature(spec.name, function)
        self.versions = Versions(spec.name, spec.version)
        self.dependencies = find_dependencies(spec.name, function)
        self.options = Options()
        self._home = home

    def __repr__(self) -> str:
        return f"<task {self.spec.name}>"

    @property
    def name(self) -> str:
        return self.spec.name

    def using(
        self,
        *,
        priority: int | None = None,
        run_after: timedelta | datetime | None = None,
        queue_name: str | None = None,
        max_attempts: int | None = None,
        idempotency_key: str | None = None,
        tags: Sequence[str] | None = None,
        meta: Mapping[str, Any] | None = None,
        expires_in: timedelta | float | None = None,
        timeout: timedelta | float | None = None,
        tenant: str | None = None,
        unique: Unique | str | bool | None = None,
        concurrency: AnyConcurrency | None = None,
        rate: AnyRate | None = None,
        group: AnyGroup | None = None,
        on: object | None = None,
    ) -> Self:
        """Return the same task with other options for the jobs enqueued through it."""
        later = request.check(
            priority=priority,
            run_after=run_after,
            queue_name=queue_name,
            max_attempts=max_attempts,
            idempotency_key=idempotency_key,
            tags=tags,
            meta=meta,
            expires_in=expires_in,
            timeout=timeout,
            tenant=tenant,
            unique=unique,
            concurrency=concurrency,
            rate=rate,
            group=group,
            on=on,
        )
        other = copy.copy(self)
        other.options = self.options.merged(later)
        return other

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return a checked request to run the task, for ``enqueue_many`` and flows."""
        try:
            text = encode_args(self.signature, args, kwargs)
        except InvalidArguments:
            if not (holds_handed(args) or holds_handed(kwargs)):
                raise
            text, places = encode_handing(self.signature, args, kwargs)
            return Call(self.spec, self.signature, text, self.options, places)
        return Call(self.spec, self.signature, text, self.options)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store a job that runs the task with these arguments."""
        return self._enqueuer().enqueue_call(self.call(*args, **kwargs), self.options.on)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store a job like ``enqueue``, without blocking the event loop."""
        return await self._enqueuer().aenqueue_call(self.call(*args, **kwargs), self.options.on)

    def _enqueuer(self) -> Enqueuer:
        enqueuer = self._home._enqueuer()
        if enqueuer is None:
            raise ConfigError(
                f"task {self.spec.name} belongs to no application yet",
                help="Include these tasks in an application first: jp.include(tasks).",
            )
        return enqueuer


class Task(AnyTask[P, R], Upgradable):
    """A task made of a `def` function, which runs in a thread or in a process of its own."""

    function: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self.function(*args, **kwargs)


class AsyncTask(AnyTask[P, R], Upgradable):
    """A task made of an `async def` function, which runs on an event loop."""

    function: Callable[P, Coroutine[Any, Any, R]]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the function here and now; await what it returns."""
        return self.function(*args, **kwargs)


class Call(Struct, Generic[R], frozen=True, gc=False):
    """A checked request to run a task, not yet stored."""

    spec: TaskSpec
    signature: Signature
    args: str
    options: Options
    handed: Places = ()
    """Where results of other nodes of its flow go."""

    def check_alone(self) -> None:
        """Raise InvalidArguments when it is handed a result: only a flow can do that."""
        if self.handed:
            raise InvalidArguments(
                f"task {self.spec.name}: only in a flow are results handed on",
                help="Add the call to the flow or the chain whose result it takes.",
            )

    def new_job(self, defaults: Defaults) -> NewJob:
        """Return what is to be stored; raises PayloadTooLarge, InvalidArguments."""
        if self.handed:
            self.check_alone()
        spec, options, version = self.spec, self.options, self.spec.version
        check_size(spec.name, "arguments", self.args, defaults.max_payload)
        if options.meta is not None:
            check_size(spec.name, "metadata", options.meta, defaults.max_payload)
        timeout_us = options.timeout_us
        if timeout_us is None:
            own = spec.timeout_seconds
            timeout = defaults.timeout_seconds if own is None else own
            timeout_us = None if timeout is None else round(timeout * 1_000_000)
        job = NewJob(
            task=spec.name,
            args=self.args if version == 1 else stamp(version, self.args),
            queue=options.queue or spec.queue,
            priority=spec.priority if options.priority is None else options.priority,
            delay_us=options.delay_us,
            run_at=options.run_at,
            expires_in_us=options.expires_in_us,
            max_attempts=options.max_attempts or spec.max_attempts or defaults.max_attempts,
            max_losses=LOSSES_ALLOWED if spec.on_loss == "retry" else 1,
            timeout_us=timeout_us,
            idempotency_key=options.idempotency_key,
            tags=options.tags,
            meta=options.meta,
            version=None if version == 1 else version,
        )
        return self._named(job) if self._has_names() else job

    def _has_names(self) -> bool:
        """Tell whether a gate, a tenant or a key may be named: of most jobs none is, and to find
        that out for each would double what an enqueue of many costs."""
        spec, options = self.spec, self.options
        return bool(
            spec.gates
            or spec.tenant is not None
            or spec.unique is not None
            or options.tenant is not None
            or options.unique is not None
            or options.group is not None
            or options.concurrency is not None
            or options.rate is not None
        )

    def _named(self, job: NewJob) -> NewJob:
        tenant, wished = self._tenant(), self._wishes()
        unique_key, unique = settled(
            self.spec.unique, self.options.unique, self.signature, self.args
        )
        return replace(
            job,
            marks=_marks(tenant, wished),
            group_key=group_of(wished),
            tenant=tenant,
            unique_key=unique_key,
            unique=unique,
            wishes=wished,
        )

    def check_given(self) -> None:
        """Raise InvalidArguments when a name of it needs a result that is still to come."""
        pointers = [pointer for pointer, _ in self.handed]
        if self.spec.tenant is not None and self.options.tenant is None:
            self.spec.tenant.check_given(self.spec.name, pointers)
        check_given(self.spec.gates, self._asked_gates(), self.signature, pointers)

    def _wishes(self) -> tuple[Wish, ...]:
        return wishes(self.spec.gates, self._asked_gates(), self.signature, self.args)

    def _asked_gates(self) -> dict[GateKind, Gates | None]:
        options = self.options
        return {
            GateKind.GROUP: options.group,
            GateKind.CONCURRENCY: options.concurrency,
            GateKind.RATE: options.rate,
        }

    def _tenant(self) -> str | None:
        template = self.spec.tenant
        if self.options.tenant is not None or template is None:
            return self.options.tenant
        return template.render(self.signature, self.args)


def _marks(tenant: str | None, wished: Sequence[Wish]) -> int | None:
    """Return who minds what becomes of the job; raises InvalidArguments."""
    if tenant is not None and group_of(wished) is not None:
        raise InvalidArguments(
            TENANT_OR_GROUP,
            help="Leave out one of them: tenant= for fair turns, group= for a fixed order.",
        )
    counts_starts = any(wish.kind is GateKind.RATE for wish in wished)
    if tenant is not None or counts_starts:
        return GATED | STARTS
    return GATED if wished else None
