"""Carries talks to a service over HTTP: the only module that knows the HTTP library.

Connections are kept open: one pool for all threads of a process, one for each event loop. A forked
child opens its own. A pool of a loop is closed with its loop (``shutdown_asyncgens``, as in
``asyncio.run``) unless it was closed before.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Generator
from typing import Any, TypeVar

import httpx2

from jobpipe.client.talk import Pause, Reply, Send, Silence, Talk

T = TypeVar("T")

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""Longest silence of the service, beside what it was asked to wait."""
IDLE_SECONDS = 2.0
"""Connections that rested longer are left: a service may just be closing them."""
CONNECTIONS = 100

UNSENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
)
"""The request has not left us."""


class Lines:
    """The connections to one service."""

    def __init__(self, url: str, token: str | None, *, is_near: bool) -> None:
        """``is_near`` tells that the service is on this machine, where no proxy leads."""
        self._options: dict[str, Any] = {
            "base_url": url,
            "auth": None if token is None else _Bearer(token),
            "headers": {
                "user-agent": "jobpipe-python",
                "accept": "application/json, application/problem+json",
            },
            "limits": httpx2.Limits(max_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS),
            "follow_redirects": False,  # a token goes where it was meant to go, and nowhere else
            "trust_env": not is_near,
        }
        self._gate = threading.RLock()
        self._client: httpx2.Client | None = None
        self._process = os.getpid()
        self._inherited: list[object] = []
        """Clients of the parent of a fork: not ours to close."""
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopLine] = (
            weakref.WeakKeyDictionary()
        )

    def follow(self, talk: Talk[T]) -> T:
        """Carry the talk to its end, blocking."""
        heard: Reply | Silence | None = None
        try:
            while True:
                step = talk.send(heard)
                heard = None
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                else:
                    heard = self._sent(step)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            talk.close()

    async def afollow(self, talk: Talk[T]) -> T:
        """Carry the talk to its end, without blocking the loop."""
        heard: Reply | Silence | None = None
        try:
            while True:
                step = talk.send(heard)
                heard = None
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                else:
                    heard = await self._asent(step)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            talk.close()

    def close(self) -> None:
        """Close what threads use; the next use opens it again."""
        with self._gate:
            client, self._client = self._client, None
        if client is not None and self._process == os.getpid():
            client.close()

    async def aclose(self) -> None:
        """Close what threads and this loop use."""
        line = self._loops.pop(asyncio.get_running_loop(), None)
        if line is not None:
            await line.close()
        self.close()

    def _sent(self, send: Send) -> Reply | Silence:
        client = self._blocking()
        try:
            return _reply(client.request(**_request(send)))
        except httpx2.RequestError as error:
            return _silence(error)

    async def _asent(self, send: Send) -> Reply | Silence:
        loop = asyncio.get_running_loop()
        line = self._loops.get(loop)
        if line is None:
            line = self._loops[loop] = _LoopLine(httpx2.AsyncClient(**self._options))
        client = await line.client()
        try:
            return _reply(await client.request(**_request(send)))
        except httpx2.RequestError as error:
            return _silence(error)

    def _blocking(self) -> httpx2.Client:
        if self._process != os.getpid():  # its sockets are the parent's, its locks may be held
            self._inherited += [self._client, *self._loops.values()]
            self._gate, self._client = threading.RLock(), None
            self._loops = weakref.WeakKeyDictionary()
            self._process = os.getpid()
        with self._gate:
            if self._client is None:
                self._client = httpx2.Client(**self._options)
            return self._client


class _LoopLine:
    """The connections of one loop."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self._life: AsyncGenerator[None, None] | None = None

    async def client(self) -> httpx2.AsyncClient:
        if self._life is None:
            self._life = life = self._until_closed()
            await anext(life)
        return self._client

    async def close(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            await life.aclose()

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._client.aclose()


class _Bearer(httpx2.Auth):
    """Puts the token on each request; shows it nowhere."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["authorization"] = self._header
        yield request


def _request(send: Send) -> dict[str, Any]:
    return {
        "method": send.method,
        "url": send.target,
        "content": send.body,
        "headers": send.headers,
        "timeout": httpx2.Timeout(
            ANSWER_SECONDS, connect=CONNECT_SECONDS, read=ANSWER_SECONDS + send.patience_seconds
        ),
    }


def _reply(response: httpx2.Response) -> Reply:
    return Reply(response.status_code, dict(response.headers), response.content)


def _silence(error: httpx2.RequestError) -> Silence:
    # Its text alone: the error itself leads to the request, and so to the token.
    why = " ".join(str(error).split()) or type(error).__name__
    return Silence(why, unsent=isinstance(error, UNSENT))
