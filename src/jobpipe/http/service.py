"""The service as one ASGI application: from a request to an endpoint, and back.

It may be mounted under any prefix. Every answer carries the security headers; every error is a
problem (RFC 9457) with the id of the request.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Message, Receive, Scope, Send

from jobpipe.app.actor import acting
from jobpipe.errors import JobpipeError
from jobpipe.http import problems, reading
from jobpipe.http.condition import Condition
from jobpipe.http.endpoint import PUBLIC, Answer, Call, Endpoint, Principal
from jobpipe.http.problems import Problem
from jobpipe.http.reading import ClientGone
from jobpipe.model.audit import Actor
from jobpipe.model.role import Role, may
from jobpipe.telemetry.events import RequestFailed, emit

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe


class Judge(Protocol):
    """Tells who calls; raises Problem when nobody who may."""

    def __call__(self, scope: Scope, headers: Mapping[str, str]) -> Principal:
        """Return who calls."""

    def check_public(self, headers: Mapping[str, str]) -> None:
        """Look at who asks for what everybody may see."""


NOBODY = Principal(name="anonymous", role=Role.ADMIN)

ID_MAX = 2**63 - 1
"""No job and no claim has a higher id."""

PATH_MAX = 1_000
"""Longest path that may lead anywhere; Python reads no number of thousands of digits."""

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")

SECURITY = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""Sent with every answer that does not say otherwise."""


class Service:
    """The ASGI application of one ``Jobpipe``."""

    def __init__(
        self, app: Jobpipe, endpoints: Sequence[Endpoint], judge: Judge, *, worker: bool = False
    ) -> None:
        self.app = app
        self.condition = Condition()
        self._judge = judge
        self._worker = worker
        self._router = Router(
            _routes(endpoints, self._door), redirect_slashes=False, default=_not_found
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _host: object = None) -> AsyncIterator[None]:
        """Live inside of a host: pass it as the host's lifespan, or enter it in that."""
        async with AsyncExitStack() as running:
            await running.enter_async_context(self.app.tending())
            if self._worker:
                await running.enter_async_context(self.app.arunning())
            yield
            self.condition.stop()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _request_id(scope)
        scope["jobpipe.request_id"] = request_id
        status, began = 0, time.perf_counter()

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._count(scope, status, time.perf_counter() - began)
                message["headers"] = _secured(message.get("headers", ()), request_id)
            await send(message)

        try:
            lead = self._router if len(scope["path"]) <= PATH_MAX else _not_found
            await lead(scope, receive, told)
        except ClientGone:
            return
        except Exception as error:
            problem = _problem(error, request_id)
            if status:
                raise
            await _send_problem(problem, request_id, told)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        endpoint: Endpoint | None = scope.get("jobpipe.endpoint")
        path = endpoint.path if endpoint else "other"
        method = endpoint.method if endpoint else "other"
        self.condition.requests.answered(method, path, status, seconds)

    def _door(self, endpoints: Mapping[str, Endpoint]) -> _Door:
        return _Door(self, endpoints, self._judge)


class _Door:
    """All methods of one path, as an ASGI application."""

    def __init__(self, service: Service, endpoints: Mapping[str, Endpoint], judge: Judge) -> None:
        self._service = service
        self._endpoints = endpoints
        self._judge = judge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        headers = reading.plain_headers(scope["headers"])
        if any(isinstance(part, int) and part > ID_MAX for part in scope["path_params"].values()):
            await _not_found(scope, receive, send)
        endpoint = self._endpoints.get(method)
        if endpoint is None:
            allowed = ", ".join(sorted(self._endpoints))
            detail = f"this path answers to {allowed}"
            raise Problem(405, "method_not_allowed", detail, headers={"Allow": allowed})
        scope["jobpipe.endpoint"] = endpoint
        principal = self._admitted(endpoint, scope, headers)
        scope["jobpipe.who"] = principal.name
        if endpoint.is_new_work and self._service.condition.is_stopping:
            raise problems.stopping()
        call = await self._call(endpoint, principal, headers, scope, receive)
        with acting(Actor(principal.name, "http", call.request_id)):
            answer = await endpoint.handle(call)
        if isinstance(answer, Answer):
            await _send_json(answer, scope["method"] == "HEAD", send)
        else:
            await answer(scope, receive, send)

    def _admitted(self, endpoint: Endpoint, scope: Scope, headers: Mapping[str, str]) -> Principal:
        if endpoint.role == PUBLIC:
            self._judge.check_public(headers)
            return NOBODY
        principal = self._judge(scope, headers)
        if not may(principal.role, endpoint.role):
            raise Problem(
                403,
                "forbidden",
                f"the role {principal.role} may not do this; it needs {endpoint.role}",
                help="Use a token with that role, or ask who runs the service for one.",
            )
        return principal

    async def _call(
        self,
        endpoint: Endpoint,
        principal: Principal,
        headers: Mapping[str, str],
        scope: Scope,
        receive: Receive,
    ) -> Call:
        query: Any = reading.read_query(scope["query_string"], endpoint.query or NoQuery)
        body: Any = None
        if endpoint.body is not None:
            most = endpoint.body_max
            limit = most if isinstance(most, int) else most(self._service.app)
            text = await reading.read_body(receive, headers, limit)
            body = reading.decode(text, headers, endpoint.body)
        return Call(
            app=self._service.app,
            condition=self._service.condition,
            principal=principal,
            path=scope["path_params"],
            query=query,
            body=body,
            headers=headers,
            root=scope.get("root_path", ""),
            request_id=scope["jobpipe.request_id"],
        )


class NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The query of an endpoint that takes none."""


def _routes(
    endpoints: Sequence[Endpoint], door: Callable[[Mapping[str, Endpoint]], _Door]
) -> list[BaseRoute]:
    """Return a route for each path, in the order of the table."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        methods = paths.setdefault(endpoint.path, {})
        assert endpoint.method not in methods, f"{endpoint.method} {endpoint.path} stands twice"
        methods[endpoint.method] = endpoint
    return [Route(path, door(methods), methods=None) for path, methods in paths.items()]


def _problem(error: Exception, request_id: str) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, JobpipeError):
        problem = problems.of_error(error)
        if problem.status < 500 or problem.code != "internal":
            return problem
    emit(RequestFailed(request_id=request_id, error=f"{type(error).__name__}: {error}"), error)
    return problems.internal()


async def _not_found(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Problem(404, "not_found", "nothing is here", help="Look at /api/docs for what there is.")


async def _send_json(answer: Answer, is_head: bool, send: Send) -> None:
    body = b"" if answer.value is None else to_json(answer.value)
    headers: list[tuple[bytes, bytes]] = []
    if body:  # without one (204, 304) no length must be told
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    headers += [(k.lower().encode(), v.encode("latin-1")) for k, v in answer.headers.items()]
    await _send(answer.status, headers, b"" if is_head else body, send)


async def _send_problem(problem: Problem, request_id: str, send: Send) -> None:
    body = to_json(problems.as_json(problem, request_id))
    headers = [
        (b"content-type", problems.MEDIA.encode()),
        (b"content-length", b"%d" % len(body)),
        *((k.lower().encode(), v.encode("latin-1")) for k, v in problem.headers.items()),
    ]
    await _send(problem.status, headers, body, send)


async def _send(status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def to_json(value: Any) -> bytes:
    """Return a view as JSON; a lone surrogate of a stored text is written as its escape."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        import json

        return json.dumps(msgspec.to_builtins(value, str_keys=True)).encode()


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.match(given := value.decode("latin-1")):
            return str(given)
    return new_id()


def new_id() -> str:
    """Return an id for a request that brings none."""
    return f"{random.getrandbits(64):016x}"  # no secret: it only tells requests apart


def _secured(given: Sequence[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    names = {name for name, _ in given}
    added = [(name, value) for name, value in SECURITY.items() if name not in names]
    return [*given, *added, (b"x-request-id", request_id.encode())]
