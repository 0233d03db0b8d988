"""Looks for what is wrong with a store and the work in it: asks everything, judges nothing itself.

Nothing is changed, not even an old schema. No question waits for ever: the server is given a limit
for each, and what cannot be asked becomes a finding of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol, TypeVar

from msgspec import Struct

from jobpipe.clock import wall_clock
from jobpipe.config.mask import mask_url
from jobpipe.config.settings import Settings
from jobpipe.errors import ConfigError, JobpipeError, StoreUnavailable
from jobpipe.model.condition import FileFacts
from jobpipe.model.state import State
from jobpipe.policy import store_health, work_health
from jobpipe.policy.finding import Finding, Severity, error, ok, warning
from jobpipe.store.migrations import SchemaStatus
from jobpipe.store.ops import inspect, read, worker
from jobpipe.store.port import Operation, Store
from jobpipe.tasks.registry import Registry

T = TypeVar("T")

LIMIT_MS = 3_000
"""Longest time that a server may take for one question."""


class Examined(Store, Protocol):
    """A store that also tells how far its schema is, and whether it is whole."""

    def schema_status(self) -> SchemaStatus: ...

    def schema_faults(self) -> list[str]: ...


class Diagnosis(Struct, frozen=True, kw_only=True):
    """All that was found; ``ok`` when nothing is an error."""

    ok: bool
    reachable: bool
    findings: list[Finding]


def diagnose(
    store: Examined,
    probe: Callable[[], FileFacts | None],
    settings: Settings,
    registry: Registry,
) -> Diagnosis:
    """Ask everything and return what was found."""
    examination = _Examination(store, settings, registry)
    try:
        findings = list(examination.findings(probe()))
        reachable = True
    except StoreUnavailable as failure:
        reachable = False
        findings = [error("store_unreachable", f"{failure}.", failure.help)]
    except ConfigError as failure:
        reachable = True
        findings = [error("store_unusable", f"{failure}.", failure.help)]
    is_ok = not any(finding.severity is Severity.ERROR for finding in findings)
    return Diagnosis(ok=is_ok, reachable=reachable, findings=findings)


class _Examination:
    """One look at one store."""

    def __init__(self, store: Examined, settings: Settings, registry: Registry) -> None:
        self._store = store
        self._settings = settings
        self._registry = registry
        self._is_file = store.capabilities.exclusive_writer
        self._unseen: list[str] = []

    def findings(self, file: FileFacts | None) -> Iterator[Finding]:
        if file is not None:
            yield from store_health.judge_file(mask_url(self._settings.url), file)
        elif self._is_file:
            yield ok("store", "SQLite in memory: it ends with its process.")
        status = self._store.schema_status()
        if not self._is_file:
            yield from self._server()
        is_usable = status.current == status.known
        faults = self._faults() if is_usable else []
        yield from store_health.judge_schema(status.current, status.known, faults)
        if is_usable:
            yield from self._work()
        yield from self._tasks(is_usable)
        if self._unseen:
            yield warning(
                "not_seen",
                f"Some things could not be looked at: {'; '.join(self._unseen)}.",
                "Give this user the rights on the schema, or look again when the store is calmer.",
            )

    def _server(self) -> Iterator[Finding]:
        facts = self._ask(inspect.server())
        if facts is not None:
            yield from store_health.judge_server(mask_url(self._settings.url), facts)
        yield from store_health.judge_pooler(
            self._settings.pooler, self._settings.listen_url is not None
        )
        before = wall_clock()
        now = self._ask(read.ping())
        after = wall_clock()
        if now is not None:  # between the two looks any difference is the way there and back
            yield from store_health.judge_clock(now - min(max(now, before), after))
        yield from store_health.judge_snapshots(self._ask(inspect.old_snapshots()) or [])
        unvacuumed = self._ask(inspect.unvacuumed(self._settings.schema))
        yield from store_health.judge_tables(unvacuumed or [])

    def _faults(self) -> list[str]:
        try:
            return self._store.schema_faults()
        except JobpipeError as failure:
            self._unseen.append(f"schema: {failure}")
            return []

    def _work(self) -> Iterator[Finding]:
        counts = self._ask(read.counts(inspect.WAITING_MAX)) or {}
        work = work_health.Work(
            now=self._ask(read.ping()) or wall_clock(),
            workers=self._ask(worker.workers()) or [],
            paused=frozenset(
                queue.name
                for queue in self._ask(read.queues()) or []
                if queue.paused_at is not None
            ),
            heads=self._ask(inspect.heads()) or [],
            queued={
                queue: n for (queue, state), n in counts.items() if state is State.QUEUED and n
            },
            bound=inspect.WAITING_MAX,
            parked=self._ask(inspect.parked_tasks()) or [],
        )
        yield from work_health.judge_workers(work, self._ask(inspect.busy()) or {})
        yield from work_health.judge_queues(work)
        yield from work_health.judge_parked(work.parked, work.bound)
        retention = self._settings.retention
        keep_us = {
            State.SUCCEEDED: retention.succeeded_us,
            State.CANCELLED: retention.cancelled_us,
            State.FAILED: retention.failed_us,
        }
        yield from work_health.judge_pruning(self._ask(inspect.oldest_ended()) or {}, keep_us)

    def _tasks(self, usable: bool) -> Iterator[Finding]:
        if not len(self._registry):
            return
        without = (
            [task.name for task in self._registry if task.spec.timeout_seconds is None]
            if self._settings.timeout_seconds is None
            else []
        )
        waiting = (self._ask(inspect.waiting_tasks()) or {}) if usable else {}
        declared = [name for task in self._registry for name in self._registry.names_of(task.name)]
        yield from work_health.judge_tasks(declared, without, waiting)

    def _ask(self, question: Operation[T]) -> T | None:
        """Return the answer, or None when this one question was refused or took too long."""
        asked = question if self._is_file else inspect.limited(question, LIMIT_MS)
        try:
            return self._store.run(asked)
        except JobpipeError as failure:
            self._unseen.append(f"{question.name}: {failure}")
            with suppress(StoreUnavailable):
                self._store.run(read.ping())
                return None
            raise
