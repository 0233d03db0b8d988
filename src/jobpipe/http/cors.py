"""Lets scripts of the web pages that the settings name call the service, and no others."""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = b"GET, POST, PATCH, DELETE"
HEADERS = b"authorization, content-type, idempotency-key, if-match, last-event-id, x-request-id"
EXPOSED = b"etag, location, retry-after, x-request-id"
PREFLIGHT_SECONDS = 600


class Cors:
    """Answers preflight requests and marks answers; everything else is the application's."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope.get("headers", ()))
        origin = headers.get(b"origin")
        if scope["type"] != "http" or origin not in self._origins:
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _allow(origin, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(b"access-control-expose-headers", EXPOSED), *_origin(origin)]
                kept = [each for each in message["headers"] if each[0] != POLICY]
                message["headers"] = [*kept, (POLICY, b"cross-origin"), *added]
            await send(message)

        await self._app(scope, receive, marked)


POLICY = b"cross-origin-resource-policy"


def _origin(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"access-control-allow-origin", origin), (b"vary", b"origin")]


async def _allow(origin: bytes, send: Send) -> None:
    headers = [
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", HEADERS),
        (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
        *_origin(origin),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
