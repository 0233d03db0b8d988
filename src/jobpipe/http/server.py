"""The server: listens, answers, and stops in good order.

While it stops it still listens: it tells who asks for new work, and whoever asks after its
condition, that it stops. The worker inside of it ends first, then what is being answered, then the
sockets close.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from jobpipe.config.service import read_service_manager
from jobpipe.config.urls import is_service
from jobpipe.errors import ConfigError, JobpipeError
from jobpipe.http import limits
from jobpipe.http.access_log import AccessLog
from jobpipe.http.asgi import asgi
from jobpipe.http.auth import check_bind, check_tokens
from jobpipe.http.cors import Cors
from jobpipe.http.protocol import Protocol
from jobpipe.runtime.embedded import InThread
from jobpipe.runtime.supervisor.systemd import Notifier
from jobpipe.telemetry.events import ServiceListens, ServiceStopped, ServiceStopping, emit

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from jobpipe.application import Jobpipe
    from jobpipe.config.settings import Settings
    from jobpipe.http.service import Service

FAILED = 1
"""Exit code when the worker inside ended unasked."""
HURRY_SECONDS = 2.0
"""Bound of the end after a second signal."""
WATCHDOG_STEP = 0.25


class Server(uvicorn.Server):
    """uvicorn's server without its signals, which are ours, and with a word when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen; raises JobpipeError when the application cannot begin."""
        try:
            await super().startup(sockets)
        except SystemExit:
            raise JobpipeError("the service could not begin; its log tells why") from None
        self.listens.set()


def serve(app: Jobpipe, *, worker: bool, greet: Callable[[str], None]) -> int:
    """Serve until a signal; returns the exit code.

    ``worker`` runs jobs in this process too; ``greet`` is told the URL when it is served. Raises
    ConfigError for settings that are not safe, JobpipeError where nobody can listen,
    StoreUnavailable when the store is away.
    """
    settings = app.settings
    check_bind(settings)
    check_tokens(settings)
    if is_service(settings.url):
        raise ConfigError(
            "a service needs a store, and JOBPIPE_URL names another service",
            help="Name the store: --url sqlite:///jobs.db or postgresql://user@host/db",
        )
    app.health()
    Protocol.connections_max = limits.most_connections()
    with listening(settings.host, settings.port) as listener:
        program = _Program(app, listener, greet)
        if not worker:
            return program.run()
        running = app.running()
        assert isinstance(running, InThread)
        with running:
            return program.run(running)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that is bound; raises JobpipeError that names the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    dual = host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            (host, port), family=family, backlog=limits.BACKLOG, dualstack_ipv6=dual
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise JobpipeError(
                f"port {port} of {host} is taken: another program listens there",
                help=f"Stop that program, or serve elsewhere: --port {port % 65_535 + 1}",
            ) from None
        raise JobpipeError(
            f"nobody can listen at port {port} of {host}: {error.strerror}",
            help="Name another address or port: --host, --port",
        ) from None
    # Connections inherit it; asyncio's own loop sets it only on sockets that it has made.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return where a browser finds what listens there."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  # every address is also this machine's own
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def config_of(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn is to serve the application."""
    if settings.cors_origins:
        app = Cors(app, settings.cors_origins)
    if settings.access_log:
        app = AccessLog(app)
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=limits.IDLE_SECONDS,
    )


class _Program:
    """One run of the server, from its first request to its last."""

    def __init__(self, app: Jobpipe, listener: socket.socket, greet: Callable[[str], None]) -> None:
        self._app = app
        self._listener = listener
        self._greet = greet
        self._received: list[int] = []
        self._worker: InThread | None = None
        self._server: Server | None = None
        self._notifier = Notifier(read_service_manager())

    def run(self, worker: InThread | None = None) -> int:
        """Serve until the end."""
        self._worker = worker
        gc.freeze()  # what is loaded by now stays: the collector need not look at it again
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(self._serve())
        self._notifier.close()
        if len(self._received) > 1:
            os._exit(128 + self._received[1])
        return code

    async def _serve(self) -> int:
        service = asgi(self._app)
        server = self._server = Server(config_of(service, self._app.settings))
        stop = asyncio.Event()
        self._take_signals(stop)
        serving = asyncio.create_task(server.serve([self._listener]))
        listens = asyncio.create_task(server.listens.wait())
        await asyncio.wait([serving, listens], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            listens.cancel()
            await serving
        url = url_of(self._listener)
        emit(ServiceListens(address=url))
        self._greet(url)
        self._notifier.ready()
        watched = asyncio.create_task(self._keep_watchdog_quiet())
        told, ended = asyncio.create_task(stop.wait()), asyncio.create_task(self._worker_ended())
        await asyncio.wait([told, ended, serving], return_when=asyncio.FIRST_COMPLETED)
        is_unasked = ended.done()
        await self._stop(service, server, ended)
        await serving
        for task in (told, listens, watched):
            task.cancel()
        emit(ServiceStopped())
        if is_unasked:
            ended.exception()  # it is raised where the worker is left
        return FAILED if is_unasked else 0

    async def _stop(
        self, service: Service, server: Server, worker_ended: asyncio.Task[None]
    ) -> None:
        """Take no new work; end the worker, then the server."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._app.settings.shutdown_seconds
        self._notifier.stopping()
        emit(ServiceStopping(requests=len(server.server_state.tasks)))
        service.condition.stop()
        if self._worker is not None:
            self._worker.stop_soon()
            await asyncio.wait([worker_ended])
        else:
            worker_ended.cancel()
        left = math.ceil(deadline - loop.time())
        server.config.timeout_graceful_shutdown = max(1, left)
        server.should_exit = True

    async def _worker_ended(self) -> None:
        if self._worker is None:
            await asyncio.Event().wait()
        else:
            await asyncio.to_thread(self._worker.join)

    async def _keep_watchdog_quiet(self) -> None:
        while True:
            self._notifier.alive()
            await asyncio.sleep(WATCHDOG_STEP)

    def _take_signals(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()

        def take(number: int) -> None:
            self._received.append(number)
            stop.set()
            if len(self._received) > 1:
                self._hurry(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, take, number)

    def _hurry(self, number: int) -> None:
        """Stop at once; what the worker holds is given back first, if that is quick."""
        signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
        signal.setitimer(signal.ITIMER_REAL, HURRY_SECONDS)
        if self._worker is not None:
            self._worker.stop_soon()
        if self._server is not None:
            self._server.force_exit = self._server.should_exit = True
