"""Whether the service lives, and whether it can do its work."""

from __future__ import annotations

from msgspec import Struct

from jobpipe import __version__, errors
from jobpipe.http import problems
from jobpipe.http.endpoint import PUBLIC, Answer, Call, Endpoint


class Living(Struct, frozen=True):
    """A service that answers."""

    status: str
    version: str


async def health(_call: Call) -> Answer:
    return Answer(value=Living("ok", __version__))


async def ready(call: Call) -> Answer:
    if call.condition.is_stopping:
        raise problems.stopping()
    await call.app.ahealth()
    return Answer(value=Living("ok", __version__))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/health",
        role=PUBLIC,
        handle=health,
        summary="Tell whether the service lives",
        answer=Living,
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        role=PUBLIC,
        handle=ready,
        summary="Tell whether the service can do its work: its store answers, it does not stop",
        answer=Living,
        errors=(errors.StoreUnavailable,),
    ),
)
