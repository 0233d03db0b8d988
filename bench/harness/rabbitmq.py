"""A RabbitMQ node of our own, with its own name service for Erlang, bound to 127.0.0.1."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.harness.debian import ensure_program
from tests.servers.process import ServerFolder, ServerProcess, free_port

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""Behind the programs on the path, which insist on an account and folders of their own."""
GREETING = b"AMQP\x00\x00\x09\x01"
CONTROL_SECONDS = 60


class RabbitServer:
    """Use as a context manager: the node runs inside, and is gone with its queues afterwards."""

    def __enter__(self) -> Self:
        ensure_program("rabbitmq-server", "rabbitmq-server")
        self._folder = ServerFolder("rabbitmq")
        self.port = free_port()
        self._names_port = free_port()
        self._running: list[ServerProcess] = []
        try:
            self._start_name_service()
            self._start_node()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def fresh(self) -> str:
        """Return the URL of a new virtual host."""
        name = f"bench{secrets.token_hex(4)}"
        self._control("add_vhost", name)
        self._control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url + name

    def drop(self, url: str) -> None:
        """Delete a virtual host with its queues."""
        self._control("delete_vhost", url.removeprefix(self.url))

    def pids(self) -> list[int]:
        """Return the processes whose trees do the node's work."""
        return [process.pid for process in self._running]

    def _start_name_service(self) -> None:
        """Run it ourselves: a node would leave one behind that outlives it."""
        port = str(self._names_port)
        names = ServerProcess(self._folder, ["epmd", "-address", "127.0.0.1", "-port", port])
        self._running.append(names)
        names.wait_until(lambda: _connects(self._names_port))

    def _start_node(self) -> None:
        node = ServerProcess(self._folder, self._with_settings("rabbitmq-server"))
        self._running.append(node)
        node.wait_until(lambda: _connects(self.port, GREETING))

    def _with_settings(self, script: str) -> list[str | Path]:
        """Return the command that runs a script of RabbitMQ with the settings of our node."""
        home = self._folder.path
        settings = {
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": self._names_port,
            "RABBITMQ_NODENAME": f"bench{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": free_port(),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": home / "mnesia",
            "RABBITMQ_LOG_BASE": home / "log",
            "RABBITMQ_CONF_ENV_FILE": home / "none.sh",
            "RABBITMQ_CONFIG_FILE": home / "none.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": home / "plugins",
            "RUNNING_UNDER_SYSTEMD": 1,  # the script becomes the node, so that the pid is its own
        }
        return ["env", *(f"{name}={value}" for name, value in settings.items()), SCRIPTS / script]

    def _control(self, *arguments: str) -> None:
        done = subprocess.run(
            [*self._with_settings("rabbitmqctl"), "-q", *arguments],
            capture_output=True,
            text=True,
            timeout=CONTROL_SECONDS,
            check=False,
            **self._folder.spawn_options(),
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {arguments[0]} failed: {done.stderr or done.stdout}")

    def _end(self) -> None:
        try:
            for process in reversed(self._running):
                process.end(signal.SIGKILL)
        finally:
            self._folder.remove()


def _connects(port: int, greeting: bytes = b"") -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            if greeting:
                connection.sendall(greeting)
                return bool(connection.recv(1))
            return True
    except OSError:
        return False
