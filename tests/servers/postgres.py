"""A PostgreSQL server of our own, durable as by default, to stop, crash and restart."""

from __future__ import annotations

import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import LiteralString, Self

import psycopg
from psycopg import sql

from tests.servers.process import ServerFolder, ServerProcess, free_port

STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "recovery_init_sync_method": "syncfs",  # after a crash: one call, not one for each file
}


class PostgresServer:
    """Use as a context manager: the server runs inside, and is gone with its data afterwards."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = SETTINGS | dict(settings or {})
        self._process: ServerProcess | None = None

    def __enter__(self) -> Self:
        self._bin = _binaries()
        self._folder = ServerFolder("postgres")
        self.port = free_port()
        try:
            self._initdb()
            self.start()
        except BaseException:
            self._folder.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop("immediate")
        finally:
            self._folder.remove()

    @property
    def pid(self) -> int | None:
        """The postmaster's process, None while stopped."""
        return self._process.pid if self._process else None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database on this server."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start on the same port and data, and wait until it answers; started is fine."""
        if self._process is not None and self._process.ended:
            self.stop()
        if self._process is None:
            settings = self._settings | {"unix_socket_directories": str(self._folder.path)}
            flags = [f"--{name}={value}" for name, value in settings.items()]
            program = str(self._bin / "postgres")
            self._process = ServerProcess(
                self._folder, [program, "-D", "data", "-p", str(self.port), *flags]
            )
            try:
                self._process.wait_until(self._answers)
            except BaseException:
                self._process = None
                raise

    def stop(self, mode: str = "fast") -> None:
        """Stop by signal: ``smart``, ``fast``, or ``immediate`` (a crash); stopped is fine."""
        if self._process is not None:
            process, self._process = self._process, None
            process.end(STOP_SIGNALS[mode])

    def create_database(self) -> str:
        """Create an empty database of a new name and return its URL."""
        name = f"test_{secrets.token_hex(8)}"
        self._run("CREATE DATABASE {} TEMPLATE template0", name)
        return self.url(name)

    def drop_database(self, database: str) -> None:
        """Drop a database, named or given by URL, whoever is still connected to it."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", _name(database))

    def terminate_backends(self, database: str) -> int:
        """Cut every connection to a database, named or given by URL; return how many."""
        with closing(psycopg.connect(self.url(), autocommit=True)) as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> pg_backend_pid()",
                [_name(database)],
            ).fetchall()
        return len(rows)

    def _run(self, command: LiteralString, name: str) -> None:
        with closing(psycopg.connect(self.url(), autocommit=True)) as connection:
            connection.execute(sql.SQL(command).format(sql.Identifier(name)))

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initdb(self) -> None:
        program = str(self._bin / "initdb")
        flags = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(
            [program, "-D", "data", "--no-sync", *flags],
            capture_output=True,
            text=True,
            check=False,
            **self._folder.spawn_options(),
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")


def _name(database: str) -> str:
    return database.rsplit("/", maxsplit=1)[-1]


def _binaries() -> Path:
    """Return the folder of the server's programs, of the newest version where there are several."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda program: [int(n) for n in re.findall(r"\d+", str(program.parent))],
    )
    on_path = shutil.which("postgres")
    if installed:
        return installed[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    raise RuntimeError(
        "the programs of a PostgreSQL server are missing: apt-get install postgresql"
    )
