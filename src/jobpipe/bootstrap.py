"""The only place that names concrete drivers: from settings to a wired store.

Whether a store is SQLite or PostgreSQL is decided here once; everything above sees a ``Backend``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote, unquote

from jobpipe.clock import Clock, wall_clock
from jobpipe.config.mask import mask_url
from jobpipe.config.settings import Settings
from jobpipe.config.urls import is_service
from jobpipe.delivery import notify
from jobpipe.delivery.hub import LOOK, Hint, Hub
from jobpipe.delivery.watch import ChangeWatcher, Watcher
from jobpipe.errors import ConfigError
from jobpipe.model.condition import FileFacts
from jobpipe.runtime.options import Ears, WatchKit, WorkerKit
from jobpipe.runtime.transaction import Transactions
from jobpipe.store.callers.caller import Ground
from jobpipe.store.callers.grounds import Grounds
from jobpipe.store.migrations import Migration, SchemaStatus
from jobpipe.store.ops.notify import notify as notify_op
from jobpipe.store.ops.read import store_id
from jobpipe.store.port import AsyncStore, Store
from jobpipe.store.sqlite.bells import Bells
from jobpipe.store.sqlite.driver import MEMORY, SqliteAsyncStore, SqliteStore
from jobpipe.store.sqlite.lender import SqliteLender
from jobpipe.store.sqlite.probe import probe
from jobpipe.store.statements import prepare
from jobpipe.tasks.registry import Registry

if TYPE_CHECKING:
    from jobpipe.client.service import Service
    from jobpipe.store.postgres.dialect import Dialect
    from jobpipe.store.postgres.driver import PostgresStore

WORKER_CONNECTIONS = 4
"""Connections of a worker beside its heartbeat's: claims, outcomes and duties overlap."""


class ManagedStore(Store, Protocol):
    """A blocking store with what is needed to keep its schema."""

    def schema_status(self) -> SchemaStatus: ...

    def migrate(self) -> tuple[Migration, ...]: ...

    def schema_sql(self) -> str: ...

    def schema_faults(self) -> list[str]: ...

    def check(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """A wired store."""

    store: ManagedStore
    async_store: AsyncStore
    worker_kit: Callable[[Registry, Hub], WorkerKit]
    change_ears: Callable[[Callable[[Hint], None]], Ears] | None
    """Makes what hears what other processes tell of changes."""
    grounds: Grounds
    transactions: Callable[[], Transactions]
    """Makes what begins the transactions of one process's tasks."""
    close: Callable[[], None]
    probe: Callable[[], FileFacts | None]
    """Looks at the database's file from outside; None where there is none."""


def connect(settings: Settings, hub: Hub, clock: Clock | None = None) -> Backend:
    """Wire the store that the settings name; nothing is opened yet.

    ``clock`` moves time in tests. Raises ConfigError when the extra for the store is missing, and
    when they name a service.
    """
    if is_service(settings.url):
        service(settings).store("a worker")
    if settings.url.startswith("sqlite:"):
        return _sqlite(settings, hub, clock or wall_clock)
    return _postgres(settings, hub, clock)


def service(settings: Settings) -> Service:
    """Wire the way to the service that the settings name; nothing is opened yet."""
    from jobpipe.client.service import Service

    return Service(settings)


def sqlite_path(url: str) -> str:
    """Return the file that an SQLite URL names (``sqlite:///relative``, ``sqlite:////absolute``)."""
    return unquote(url.removeprefix("sqlite:///").removeprefix("sqlite:"))


def absolute(url: str) -> str:
    """Return the URL as it is understood in any folder: SQLite's may name a file in this one."""
    path = sqlite_path(url)
    if not url.startswith("sqlite:") or path == MEMORY:
        return url
    return f"sqlite:///{quote(str(Path(path).absolute()))}"


def transactions(settings: Settings) -> Transactions:
    """Wire the transactions of tasks alone, for a process that only runs attempts."""
    return connect(settings, Hub()).transactions()


def watch_kit(settings: Settings) -> WatchKit:
    """Wire what a supervisor needs of the store; nothing is opened yet.

    It says little and never looks who watches, so it tells its changes always.
    """
    hub = Hub()
    hub.is_watched_elsewhere = True
    backend = connect(settings, hub)

    def heartbeat() -> tuple[Store, Callable[[], None]]:
        kit = backend.worker_kit(Registry(), hub)
        return kit.heartbeat_store, kit.close

    locks = backend.worker_kit(Registry(), hub).locks
    return WatchKit(hub, backend.store, heartbeat, locks, backend.close)


def _sqlite(settings: Settings, hub: Hub, clock: Clock) -> Backend:
    path = sqlite_path(settings.url)
    store = SqliteStore(path, table_prefix=settings.table_prefix, clock=clock)
    statements = prepare(store.texts, lambda name, _position: f":{name}")
    is_shared = store.capabilities.shared

    ears, change_ears, tell = _neighbours(store, hub)

    def ground(_placeholder: str) -> Ground:
        if path == MEMORY:
            raise ConfigError("a store in memory has no connection but its own: on= cannot be used")
        return Ground("sqlite", statements, clock, store.path)

    grounds = Grounds("sqlite", mask_url(settings.url), ground)

    def transactions() -> Transactions:
        return Transactions(SqliteLender(store), grounds, settings.max_payload)

    def kit(registry: Registry, hub: Hub) -> WorkerKit:
        return WorkerKit(
            registry=registry,
            hub=hub,
            store=SqliteAsyncStore(store),
            heartbeat_store=store,
            locks=store.worker_locks,
            ears=ears if is_shared else None,
            transactions=transactions(),
            close=_nothing,
        )

    close = store.close
    if is_shared:
        close = _send_hints(hub, tell, store.close)
    look = partial(probe, path) if path != MEMORY else _no_file
    changes = change_ears if is_shared else None
    return Backend(store, SqliteAsyncStore(store), kit, changes, grounds, transactions, close, look)


MakeEars = Callable[[Callable[[Hint], None]], Ears]


def _neighbours(store: SqliteStore, hub: Hub) -> tuple[MakeEars, MakeEars, Callable[[Hint], None]]:
    """Return how a worker hears other processes of a file, how who watches does, how to tell."""
    bells = Bells(store.path)

    def ears(ring: Callable[[Hint], None]) -> Ears:
        return Watcher(store.watch, lambda: ring(Hint(LOOK.lanes, heard=True)), bells.hang)

    def change_ears(ring: Callable[[Hint], None]) -> Ears:
        return ChangeWatcher(
            store.watch, lambda words: ring(notify.decode(words, hub.origin)), bells.listen
        )

    def tell(hint: Hint) -> None:
        if hint.is_look or hint.is_for_workers:
            bells.ring()
        bells.tell(notify.encode(hint, hub.origin))

    return ears, change_ears, tell


def _postgres(settings: Settings, hub: Hub, clock: Clock | None) -> Backend:
    try:
        from jobpipe.store.postgres import dialect as dialects
        from jobpipe.store.postgres.async_driver import PostgresAsyncStore
        from jobpipe.store.postgres.driver import PostgresStore
    except ImportError as error:
        raise ConfigError(
            f"PostgreSQL ({mask_url(settings.url)}) needs asyncpg and psycopg: {error}",
            help='Install them: pip install "jobpipe[postgres]"',
        ) from error
    dialect = dialects.load(settings.schema, _shift(clock))
    pooler: Literal["none", "transaction"] = (
        "transaction" if settings.pooler == "transaction" else "none"
    )
    open_sync = partial(PostgresStore, settings.url, dialect, pooler=pooler)
    open_async = partial(PostgresAsyncStore, settings.url, dialect, pooler=pooler)
    store, async_store = open_sync(), open_async()
    stop_sending = _send_by_server(hub, settings.schema, open_sync(size=1))
    grounds = _server_grounds(settings, dialect, store)
    transactions = partial(_server_transactions, settings, dialect, grounds, pooler)

    def kit(registry: Registry, worker_hub: Hub) -> WorkerKit:
        heartbeat_store = open_sync(size=1)
        return WorkerKit(
            registry=registry,
            hub=worker_hub,
            store=open_async(size=WORKER_CONNECTIONS),
            heartbeat_store=heartbeat_store,
            locks=None,
            ears=_postgres_ears(settings),
            transactions=transactions(),
            close=heartbeat_store.close,
        )

    def close() -> None:
        for end in (stop_sending, store.close, async_store.hang_up):
            end()

    ears = _postgres_ears(settings, hub.origin)
    return Backend(store, async_store, kit, ears, grounds, transactions, close, _no_file)


def _server_grounds(settings: Settings, dialect: Dialect, store: PostgresStore) -> Grounds:
    def ground(placeholder: str) -> Ground:
        statements = dialect.dollar if placeholder == "dollar" else dialect.percent
        return Ground("postgresql", statements, dialect.clock_shift, store.run(store_id()))

    return Grounds("postgresql", mask_url(settings.url), ground)


def _server_transactions(
    settings: Settings,
    dialect: Dialect,
    grounds: Grounds,
    pooler: Literal["none", "transaction"],
) -> Transactions:
    from jobpipe.store.postgres.lender import PostgresLender

    lender = PostgresLender(settings.url, dialect, pooler=pooler, size=settings.concurrency)
    return Transactions(lender, grounds, settings.max_payload)


def _shift(clock: Clock | None) -> Callable[[], int]:
    """Return by how much a test's clock is ahead of the real one, in microseconds."""
    return (lambda: clock() - wall_clock()) if clock else (lambda: 0)


def _postgres_ears(
    settings: Settings, own: str = ""
) -> Callable[[Callable[[Hint], None]], Ears] | None:
    """Return how to listen; None behind a pooler that cannot, without a direct URL.

    ``own`` is the sender whose changes are known without that.
    """
    from jobpipe.store.postgres.listen import Listener

    url = settings.listen_url or (settings.url if settings.pooler == "none" else None)
    if url is None:
        return None
    return lambda ring: Listener(url, settings.schema, lambda text: ring(notify.decode(text, own)))


def _send_by_server(hub: Hub, channel: str, store: PostgresStore) -> Callable[[], None]:
    def send(hint: Hint) -> None:
        store.run(notify_op(channel, notify.encode(hint, hub.origin)))

    return _send_hints(hub, send, store.close)


def _send_hints(
    hub: Hub, send: Callable[[Hint], None], close: Callable[[], None]
) -> Callable[[], None]:
    """Pass the hub's hints on to other processes; returns how to end that, and then to close."""
    sender = notify.NotifySender(hub, send)
    unsubscribe = hub.subscribe(sender)

    def stop() -> None:
        unsubscribe()
        sender.close()
        close()

    return stop


def _nothing() -> None:
    """A worker on SQLite shares its process's writer, so it has nothing to close."""


def _no_file() -> None:
    """A server, or a database in memory, has no file to look at."""
