"""A pgbouncer in transaction mode in front of a PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from types import TracebackType
from typing import Self

from tests.servers.postgres import PostgresServer
from tests.servers.process import ServerFolder, ServerProcess, free_port

SETTINGS = """\
[databases]
* = host=127.0.0.1 port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {accounts}
pool_mode = transaction
ignore_startup_parameters = extra_float_digits
max_client_conn = 400
default_pool_size = 20
"""


class Pgbouncer:
    """Use as a context manager: the pooler runs inside."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def __enter__(self) -> Self:
        self._folder = ServerFolder("pgbouncer")
        self.port = free_port()
        try:
            self._process = self._start()
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
        # It holds nothing that could be lost, and its gentler signals differ between versions.
        self._process.end(signal.SIGKILL)
        self._folder.remove()

    def url(self, database: str) -> str:
        """Return the URL that leads through the pooler to a database, named or given by URL."""
        name = database.rsplit("/", maxsplit=1)[-1]
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def _start(self) -> ServerProcess:
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise RuntimeError("pgbouncer is missing: apt-get install pgbouncer")
        accounts = self._folder.write("accounts.txt", '"postgres" ""\n')
        text = SETTINGS.format(server_port=self._server.port, port=self.port, accounts=accounts)
        process = ServerProcess(self._folder, [program, self._folder.write("pgbouncer.ini", text)])
        process.wait_until(self._answers)
        return process

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True
