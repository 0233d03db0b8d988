"""Applications behind one HTTP server, each under a prefix of its own, and who asks them."""

from __future__ import annotations

import itertools
import socket
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import uvicorn

from jobpipe import Jobpipe
from jobpipe.http.asgi import asgi
from tests.conformance.loop import LoopThread

LOOPBACK = "127.0.0.1"


class Server:
    """One server for the whole run; it serves on a loop of its own."""

    def __init__(self) -> None:
        self._loop = LoopThread()
        self._services: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        # Named as TCP, or asyncio would let small answers wait for the client's acknowledgement.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind((LOOPBACK, 0))
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._serving = self._loop.start(self._server.serve(sockets=[self._socket]))

    def add(self, application: Jobpipe) -> str:
        """Serve an application from now on; returns its URL."""
        prefix = f"s{next(self._numbers)}"
        self._services[prefix] = asgi(application)
        return f"http://{LOOPBACK}:{self._socket.getsockname()[1]}/{prefix}"

    def remove(self, application: Jobpipe) -> None:
        """Serve an application no more, and close what it has opened on this loop."""
        self._services = {k: s for k, s in self._services.items() if s.app is not application}
        self._loop.run(application.aclose())

    def close(self) -> None:
        self._server.should_exit = True
        self._serving.result()
        self._loop.close()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        prefix = scope["path"].split("/", 2)[1]
        await self._services[prefix]({**scope, "root_path": f"/{prefix}"}, receive, send)


class Client(Jobpipe):
    """Asks a service for everything; its jobs are run where that one is."""

    def __init__(self, url: str, behind: Jobpipe) -> None:
        super().__init__(url)
        self.registry, self.hooks = behind.registry, behind.hooks
        self._behind = behind

    def running(self, **settings: object) -> AbstractContextManager[None]:
        return self._behind.running(**settings)

    def arunning(self, **settings: object) -> AbstractAsyncContextManager[None]:
        return self._behind.arunning(**settings)

    def drain(self, **settings: object) -> None:
        self._behind.drain(**settings)

    async def adrain(self, **settings: object) -> None:
        await self._behind.adrain(**settings)
