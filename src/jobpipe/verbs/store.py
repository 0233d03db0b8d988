"""What an application does about a store of its own: its schema, its condition, its workers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING

from jobpipe.bootstrap import absolute
from jobpipe.config.document import as_texts
from jobpipe.config.environment import child_environment, whole_environment
from jobpipe.config.load import load_effective
from jobpipe.config.settings import Settings
from jobpipe.runtime.executors.origin import introduce
from jobpipe.runtime.options import ChildOptions, WorkerOptions, speech_options
from jobpipe.store.migrations import Migration, SchemaStatus
from jobpipe.store.ops import inspect
from jobpipe.store.ops.discard import drop_bench_schema
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import NAME_ALLOWED, is_name
from jobpipe.verbs.asking import Asking

if TYPE_CHECKING:
    from jobpipe.app.check import CheckView
    from jobpipe.app.diagnosis import Diagnosis
    from jobpipe.runtime.seat import Seat
    from jobpipe.runtime.supervisor.child import SupervisedSeat
    from jobpipe.runtime.worker import Worker


class OwnStore(Asking):
    """The verbs that a service cannot answer: each raises ConfigError over HTTP."""

    _overrides: dict[str, object]

    # Its schema and its condition

    def schema_status(self) -> SchemaStatus:
        """Tell how far the store's schema is, without changing it."""
        return self._access.store("schema_status()").backend().store.schema_status()

    def migrate(self) -> tuple[Migration, ...]:
        """Bring the store's schema up to date; returns what was applied."""
        return self._access.store("migrate()").backend().store.migrate()

    def schema_sql(self) -> str:
        """Return the SQL that ``migrate`` runs on an empty store."""
        return self._access.store("schema_sql()").backend().store.schema_sql()

    def check_store(self) -> list[str]:
        """Return what is wrong with the store's files or schema; empty when all is well."""
        store = self._access.store("check_store()").backend().store
        problems = store.check()
        if not problems and store.schema_status().pending:
            return ["the schema is missing or old: run `jobpipe db migrate`"]
        return problems

    def diagnose(self) -> Diagnosis:
        """Look for what is wrong with the store and the work in it; changes nothing."""
        from jobpipe.app.diagnosis import diagnose

        backend = self._access.store("diagnose()").backend()
        return diagnose(backend.store, backend.probe, self.settings, self.registry)

    def check_jobs(self) -> CheckView:
        """Look whether these tasks could run every job that waits; changes nothing."""
        from jobpipe.app.check import check_jobs

        return check_jobs(self._access.store("check_jobs()").backend().store, self.registry)

    def durability(self) -> tuple[str, str]:
        """Return the version of the store's software, and how safe its commits are, in words."""
        backend = self._access.store("durability()").opened()
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
        store = self._access.store("drop_bench()").backend().store
        store.run(drop_bench_schema(self.settings.schema))

    # Workers

    def running(self, **settings: object) -> AbstractContextManager[None]:
        """Run a worker in a thread for as long as the ``with`` block lasts.

        The keyword arguments are settings, such as ``concurrency=4`` or ``queues="mail"``.
        """
        from jobpipe.runtime import embedded

        self._access.store("running()").opened()
        return embedded.in_thread(self._worker_maker(settings))

    def arunning(self, **settings: object) -> AbstractAsyncContextManager[None]:
        """Run a worker on this loop for as long as the ``async with`` block lasts."""
        from jobpipe.runtime import embedded

        store = self._access.store("arunning()")
        return embedded.on_loop(self._worker_maker(settings), store.aopened)

    def drain(self, **settings: object) -> None:
        """Run everything that may run now, then return."""
        from jobpipe.runtime import embedded

        self._access.store("drain()").opened()
        embedded.to_the_end(self._worker_maker(settings, burst=True))

    async def adrain(self, **settings: object) -> None:
        """Run everything that may run now, then return."""
        await self._access.store("adrain()").aopened()
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
        store = self._access.store("a worker").opened().store
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
        self.registry.check()
        options = WorkerOptions(
            name=name or f"{socket.gethostname()}-{os.getpid()}",
            queues=settings.queues,
            concurrency=settings.concurrency,
            poll_seconds=settings.poll_seconds,
            ageing_seconds=settings.ageing_seconds,
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
            kit = self._access.store("a worker").backend().worker_kit(self.registry, self.hub)
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
