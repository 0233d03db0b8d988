"""What changes, as it changes: a stream of server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jobpipe import errors
from jobpipe.http.condition import Condition
from jobpipe.http.endpoint import Call, Endpoint
from jobpipe.model.role import Role

if TYPE_CHECKING:
    from jobpipe.runtime.events import Event, Subscription

RETRY_MS = 2_000
"""When a client that was cut off is to come back."""

MEDIA = "text/event-stream"

DESCRIPTION = """\
Each event has an `id`, a kind and JSON data: `job` {id, state, queue}, where a job stands now;
`counts` {changes: [{queue, state, jobs}], complete}, how many jobs came to which state where too
many changed to name them (`complete` is false where more changed than that); `queue` {queue,
paused}; `reset` {}, when some events were missed: read anew what you show. A comment every 15
seconds tells that the stream lives. It ends when the service stops, and when the token is revoked;
come back with the last id."""


class EventQuery(Struct, forbid_unknown_fields=True):
    """What to hear of."""

    topics: Annotated[str, Meta(description="Kinds of events, with commas between")] = (
        "job,counts,queue"
    )
    queue: Annotated[str | None, Meta(description="Only what happens in this queue")] = None
    job: Annotated[int, Meta(ge=1, le=2**63 - 1, description="Only this job")] | None = None
    last_event_id: Annotated[
        str | None, Meta(description="Like the header, for those who cannot send one")
    ] = None


async def stream_events(call: Call) -> Response:
    query: EventQuery = call.query
    events = call.app.events(
        call.headers.get("last-event-id", query.last_event_id),
        topics=[topic.strip() for topic in query.topics.split(",")],
        queue_name=query.queue,
        job=query.job,
    )
    events.keep_while(partial(call.condition.is_current, call.principal))
    return EventStream(events, call.condition)


class EventStream(Response):
    """Sends what a reader hears until one of both sides leaves."""

    media_type = MEDIA

    def __init__(self, events: Subscription, condition: Condition) -> None:
        super().__init__(None, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._condition = condition

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream; the client's leaving, the service's stop and the log's end all end it."""
        events = self._events
        leaving = asyncio.ensure_future(_left(receive, events.close))
        keep = self._condition.when_stopping(events.close)
        self._condition.requests.streams.inc()
        try:
            await events.begun()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await _send(send, f"retry: {RETRY_MS}\nid: {events.id}\n\n")
                while events.is_open:
                    await _send(send, _frames(await events.batch(), events.id))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._condition.requests.streams.dec()
            keep()
            leaving.cancel()
            events.close()


async def _left(receive: Receive, tell: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue  # a body that nobody reads
    tell()


def _frames(events: list[Event], id: str) -> str:
    """Return the events as text; without any a sign of life, which moves the client's id on."""
    if not events:
        return f": still here\nid: {id}\n\n"
    return "".join(f"id: {e.id}\nevent: {e.kind}\ndata: {e.text}\n\n" for e in events)


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/events",
        role=Role.VIEWER,
        handle=stream_events,
        summary="Hear of changes as they happen (server-sent events)",
        description=DESCRIPTION,
        query=EventQuery,
        headers={"Last-Event-ID": "The last event that was heard: what came since is sent first"},
        media=MEDIA,
        errors=(errors.InvalidArguments,),
    ),
)
