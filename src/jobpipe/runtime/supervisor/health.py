"""Answers ``GET /health`` and ``GET /readyz`` of a supervisor; small on purpose.

It runs on the supervisor's loop, so an answer shows that the supervisor itself is alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from jobpipe.errors import ConfigError

REQUEST_SECONDS = 5.0
"""How long a client may take to ask."""
REQUEST_MAX = 8_192
CLIENTS_MAX = 64

REASONS = {
    200: "OK",
    404: "Not Found",
    405: "Method Not Allowed",
    400: "Bad Request",
    503: "Service Unavailable",
}

Condition = dict[str, Any]


class HealthServer:
    """``condition`` tells how things are: ``status`` is ``ok`` when jobs can be run."""

    def __init__(self, address: str, condition: Callable[[], Condition]) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._condition = condition
        self._clients = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raises ConfigError when the address cannot be had."""
        try:
            self._server = await asyncio.start_server(
                self._serve, self._host, self._port, limit=REQUEST_MAX
            )
        except OSError as error:
            where = f"{self._host}:{self._port}"
            raise ConfigError(
                f"health port {where} cannot be opened: {error.strerror or error}",
                help="Choose a free port: --health-port N.",
            ) from error

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= CLIENTS_MAX:
                async with asyncio.timeout(REQUEST_SECONDS):
                    code, body = self._answer(await reader.readuntil(b"\r\n\r\n"))
                    writer.write(_response(code, body))
                    await writer.drain()
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            pass  # whoever asks badly or slowly is not answered
        finally:
            self._clients -= 1
            with suppress(OSError):
                writer.close()

    def _answer(self, request: bytes) -> tuple[int, Condition]:
        method, _, rest = request.decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path not in ("/health", "/readyz"):
            return 404, {"status": "not found"}
        if method not in ("GET", "HEAD"):
            return 405, {"status": "method not allowed"}
        condition = self._condition()
        if path == "/health":
            return 200, {**condition, "status": "ok"}
        return (200 if condition["status"] == "ok" else 503), condition


def _response(code: int, body: Condition) -> bytes:
    data = msgspec.json.encode(body) + b"\n"
    head = (
        f"HTTP/1.1 {code} {REASONS[code]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + data
