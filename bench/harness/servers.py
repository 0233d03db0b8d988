"""The stores that systems stand on: one server of a kind a run, a fresh store a sample.

PostgreSQL comes as in the tests. Every server listens on 127.0.0.1, on a free port, keeps its data
in a temporary folder, and is stopped by the process that was started here.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from bench.harness import machine
from bench.harness.debian import ensure_program
from bench.harness.rabbitmq import RabbitServer
from bench.harness.redis import RedisServer
from bench.harness.system import Store, Unusable
from tests.servers.postgres import PostgresServer

DEBIAN = Path("/usr/lib/postgresql")


class Server(Protocol):
    """One running server of a kind of store."""

    def fresh(self) -> str:
        """Return the URL of an empty store."""
        ...

    def drop(self, url: str) -> None:
        """Remove a store."""
        ...

    def pids(self) -> list[int]:
        """Return the processes whose trees do the store's work; none for a file."""
        ...


class Postgres(PostgresServer):
    """Databases on a cluster of our own, at default settings."""

    def __enter__(self) -> Self:
        if not shutil.which("postgres") and not any(DEBIAN.glob("*/bin/postgres")):
            ensure_program("pg_ctlcluster", "postgresql")
        return super().__enter__()

    def fresh(self) -> str:
        return self.create_database()

    def drop(self, url: str) -> None:
        self.drop_database(url)

    def pids(self) -> list[int]:
        return [self.pid] if self.pid else []


class Files:
    """SQLite files, each in a folder of its own."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-sqlite-"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def fresh(self) -> str:
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        return f"sqlite:///{folder / 'jobs.db'}"

    def drop(self, url: str) -> None:
        shutil.rmtree(Path(url.removeprefix("sqlite:///")).parent, ignore_errors=True)

    def pids(self) -> list[int]:
        return []


KINDS: dict[Store, Callable[[], AbstractContextManager[Server]]] = {
    "postgresql": Postgres,
    "sqlite": Files,
    "redis": RedisServer,
    "rabbitmq": RabbitServer,
}


class Servers:
    """Starts each kind of server when it is first asked for; the stack ends them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[Store, Server] = {}
        self._refused: dict[Store, str] = {}

    def of(self, store: Store) -> Server:
        """Return the running server of this kind; raises Unusable, always with the same reason."""
        if store in self._refused:
            raise Unusable(self._refused[store])
        if store not in self._running:
            try:
                self._running[store] = self._stack.enter_context(KINDS[store]())
            except (RuntimeError, OSError, SystemExit) as error:
                self._refused[store] = f"{store}: {str(error)[-300:]}"
                raise Unusable(self._refused[store]) from error
        return self._running[store]

    def facts(self, store: Store) -> dict[str, str]:
        """Return version and settings of a running server."""
        server = self.of(store)
        if isinstance(server, Postgres):
            return machine.postgres(server.url())
        return {"version": machine.server_version(store)}
