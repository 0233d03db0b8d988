"""What is said to a service, and when it is said again: no sockets, no clock, no loop.

A talk is a generator that yields what to send or how long to pause, and hears what came back.
So it is written once for callers that block and for those that wait, and a test plays the service.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

import msgspec

from jobpipe.app.ask import Exchange, Request
from jobpipe.client import problems
from jobpipe.errors import ConfigError, JobpipeError, StoreUnavailable
from jobpipe.tasks import wire

T = TypeVar("T")

FIRST_PAUSE, GROWTH, TRIES = 0.2, 2.0, 5
"""Seconds before a request is sent again, how they grow, and how often it is sent in all."""
LONGEST_PAUSE = 30.0
"""A service that asks for more (Retry-After) is not waited for any longer."""
PASSING = frozenset({429, 502, 503, 504})
"""Statuses that pass by themselves."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this."""

    method: str
    target: str
    """The path and the query."""
    body: bytes | None
    patience_seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """The service answered."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Silence:
    """The service did not answer."""

    why: str
    unsent: bool
    """It never heard of the request."""


Heard: TypeAlias = Reply | Silence | None
Talk: TypeAlias = Generator[Send | Pause, Heard, T]


def talk(exchange: Exchange[T], place: str) -> Talk[T]:
    """Return the talk in which the exchange is carried out; ``place`` names the service."""
    go_on: Callable[[], Request] = partial(next, exchange)
    try:
        while True:
            try:
                request = go_on()
            except StopIteration as end:
                value: T = end.value
                return value
            try:
                answer = yield from _answer(request, place)
            except JobpipeError as error:
                go_on = partial(exchange.throw, error)
            else:
                go_on = partial(exchange.send, answer)
    finally:
        exchange.close()


def _answer(request: Request, place: str) -> Talk[Any]:
    """Send a request until it is answered for good."""
    send = _send(request)
    pause = FIRST_PAUSE
    if request.delay_seconds:
        yield Pause(request.delay_seconds)
    for sent in range(1, TRIES + 1):
        heard = yield send
        assert heard is not None  # who carries a talk answers what it sends
        asked = problems.retry_after(heard.headers) if isinstance(heard, Reply) else 0.0
        if sent == TRIES or asked > LONGEST_PAUSE or not _may_repeat(request, heard):
            return _read(request, heard, place)
        yield Pause(max(asked, pause * random.uniform(0.5, 1.0)))
        pause *= GROWTH
    raise AssertionError("the last try returns or raises")


def _may_repeat(request: Request, heard: Reply | Silence) -> bool:
    again = request.method == "GET" or request.repeatable
    if isinstance(heard, Silence):
        return again or heard.unsent
    if heard.status not in PASSING:
        return False
    code = problems.code_of(heard.body)
    return code in problems.UNDONE or (again and code != "queue_full")


def _send(request: Request) -> Send:
    query = {name: value for name, value in request.query.items() if value is not None}
    target = f"{request.path}?{urlencode(query)}" if query else request.path
    body = None if request.body is None else msgspec.json.encode(request.body)
    headers = dict(request.headers)
    if body is not None:
        headers["content-type"] = "application/json"
    return Send(request.method, target, body, request.patience_seconds, headers)


def _read(request: Request, heard: Reply | Silence, place: str) -> Any:
    """Return the answer as the type that the request names, or raise what it tells."""
    changes = request.method != "GET"
    if isinstance(heard, Silence):
        unknown = changes and not heard.unsent
        outcome = "; whether it did what was asked is not known" if unknown else ""
        raise StoreUnavailable(
            f"the service at {place} does not answer: {heard.why}{outcome}",
            help="Check that the service runs and that JOBPIPE_URL names it.",
            outcome_unknown=unknown,
        )
    if not 200 <= heard.status < 300:
        raise problems.error_of(heard.status, heard.headers, heard.body, place, changes=changes)
    if request.answer is None:
        return None
    try:
        value = msgspec.convert(wire.read(heard.body.decode()), request.answer)
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"the service at {place} answers what this version does not understand: {error}",
            help="Check that JOBPIPE_URL names a Jobpipe service, of the same version.",
        ) from None
    return (heard.status, value) if request.tells_status else value
