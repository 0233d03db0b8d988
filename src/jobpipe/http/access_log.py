"""Tells of each request in the log: who, what, how it ended. No query, no header, no body."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobpipe.telemetry.events import RequestServed, emit


class AccessLog:
    """Emits one event for each request, when its answer begins."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                event = RequestServed(
                    request_id=scope.get("jobpipe.request_id", ""),
                    who=scope.get("jobpipe.who", ""),
                    client=scope["client"][0] if scope.get("client") else "",
                    method=scope["method"],
                    path=scope["path"],
                    status=message["status"],
                    seconds=time.perf_counter() - began,
                )
                emit(event)
            await send(message)

        await self._app(scope, receive, told)
