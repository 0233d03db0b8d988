"""A Redis server of our own, that keeps everything in memory: the usual broker, at its fastest."""

from __future__ import annotations

import signal
import socket
from types import TracebackType
from typing import Self

from bench.harness.debian import ensure_program
from tests.servers.process import ServerFolder, ServerProcess, free_port


class RedisServer:
    """Use as a context manager: the server runs inside, on 127.0.0.1, and is gone afterwards."""

    def __enter__(self) -> Self:
        program = ensure_program("redis-server", "redis-server")
        self._folder = ServerFolder("redis")
        self.port = free_port()
        settings = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no"}
        options = [text for name, value in settings.items() for text in (f"--{name}", value)]
        try:
            self._process = ServerProcess(self._folder, [program, *options])
            self._process.wait_until(lambda: self._answers("PING", "+PONG"))
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
            self._process.end(signal.SIGTERM)
        finally:
            self._folder.remove()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def fresh(self) -> str:
        """Return the URL of the server once it is empty."""
        if not self._answers("FLUSHALL", "+OK"):
            raise RuntimeError("Redis could not be emptied")
        return self.url

    def drop(self, _: str) -> None:
        """Forget all that is stored."""
        self.fresh()

    def pids(self) -> list[int]:
        """Return the processes whose trees do the server's work."""
        return [self._process.pid]

    def _answers(self, command: str, expected: str) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(64).decode().startswith(expected)
        except ConnectionError:
            return False
