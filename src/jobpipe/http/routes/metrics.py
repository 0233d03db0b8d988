"""What Prometheus asks for."""

from __future__ import annotations

import asyncio

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from jobpipe.http.endpoint import Call, Endpoint
from jobpipe.model.role import Role


async def show_metrics(call: Call) -> Response:
    now = await call.app.load_watch().alook()
    text = await asyncio.to_thread(call.condition.requests.text, now)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/metrics",
        role=Role.VIEWER,
        handle=show_metrics,
        summary="Metrics in Prometheus's text form",
        media="text/plain",
    ),
)
