"""Whether the service lives, and whether it can do its work."""

from __future__ import annotations

from msgspec import Struct

from jobpipe import __version__, errors
from jobpipe.app.views import time_text
from jobpipe.http import problems
from jobpipe.http.endpoint import PUBLIC, Answer, Call, Endpoint
from jobpipe.http.problems import Problem

NEGLECTED = "the service does not keep its store in order at present; its log tells why"


class Living(Struct, frozen=True):
    """A service that answers."""

    status: str
    version: str


class Ready(Living, frozen=True):
    """A service that can do its work."""

    time: str | None
    """The time on the store's clock."""


async def health(_call: Call) -> Answer:
    return Answer(value=Living("ok", __version__))


async def ready(call: Call) -> Answer:
    if call.condition.is_stopping:
        raise problems.stopping()
    if (doubt := call.condition.doubt()) is not None:
        raise Problem(503, "not_ready", doubt)
    now = time_text(await call.app.ahealth())
    if call.app.is_neglected:
        raise Problem(503, "not_ready", NEGLECTED)
    return Answer(value=Ready("ok", __version__, now))


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
        answer=Ready,
        errors=(errors.StoreUnavailable,),
    ),
)
