"""The document of the service (OpenAPI 3.1), made from the table of endpoints and their types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from jobpipe import __version__
from jobpipe.http import problems
from jobpipe.http.endpoint import PUBLIC, Endpoint

REF = "#/components/schemas/{name}"

TITLES = {
    400: "The request cannot be read.",
    401: "No token, or none that counts.",
    403: "The token's role may not do this.",
    404: "There is no such thing.",
    408: "The body took too long to arrive.",
    409: "What stands in the store forbids it.",
    412: "It has changed since it was read.",
    413: "The body is too large.",
    415: "The body is no plain JSON.",
    422: "The request says something that is not allowed.",
    429: "The queue is full, or too many wrong tokens came from there.",
    503: "The store cannot be reached, or the service is stopping.",
}

PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
PATH_TYPES: dict[str | None, dict[str, Any]] = {
    "int": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
    "path": {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
    },
    None: {"type": "string", "minLength": 1},
}
QUEUE = {"type": "string", "minLength": 1, "pattern": r"^[A-Za-z0-9_./-]{1,200}$"}
"""What stands in the place of a path under queues."""


class ProblemView(msgspec.Struct, frozen=True):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    """Stable, the same in Python and on the command line."""
    detail: str
    help: str
    """What to do about it."""
    request_id: str


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the whole document."""
    kinds = [kind for each in endpoints for kind in (each.answer, each.body, each.query) if kind]
    found, schemas = msgspec.json.schema_components([*kinds, ProblemView], ref_template=REF)
    schema_of = dict(zip(map(str, [*kinds, ProblemView]), found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = PARAMETER.sub(r"{\1}", endpoint.path)
        methods = paths.setdefault(path, {})
        methods[endpoint.method.lower()] = _operation(endpoint, schema_of, schemas)
    wanted = {endpoint.query for endpoint in endpoints}
    for query in wanted - {each.body for each in endpoints}:
        if query is not None:
            schemas.pop(query.__name__, None)  # its fields stand as parameters
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobpipe",
            "version": __version__,
            "description": "Background jobs: enqueue them, watch them, steer them, run them.",
        },
        "servers": [{"url": "../"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    endpoint: Endpoint, schema_of: dict[str, dict[str, Any]], schemas: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.handle.__name__,
        "summary": endpoint.summary,
        "tags": [_tag(endpoint.path)],
        "security": [] if endpoint.role == PUBLIC else [{"token": []}],
        "parameters": [*_path(endpoint), *_query(endpoint, schemas), *_headers(endpoint)],
        "responses": _responses(endpoint, schema_of),
    }
    if endpoint.role != PUBLIC:
        operation["x-role"] = str(endpoint.role)
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.body is not None:
        schema = schema_of[str(endpoint.body)]
        operation["requestBody"] = {
            "required": not endpoint.is_body_optional,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _tag(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[2] if path.startswith("/api/v1/") else "service"


def _path(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for name, kind in PARAMETER.findall(endpoint.path):
        schema = QUEUE if "/queues/" in endpoint.path else PATH_TYPES[kind or None]
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query(endpoint: Endpoint, schemas: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if endpoint.query is None:
        return
    schema = schemas[endpoint.query.__name__]
    for name, field in schema["properties"].items():
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": _without_null(field),
        }


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return a field's schema without the null that stands for a parameter left out."""
    kept = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    if not kept:
        return field
    rest = {name: value for name, value in field.items() if name not in ("anyOf", "default")}
    return {**rest, **kept[0]} if len(kept) == 1 else {**rest, "anyOf": kept}


def _headers(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for name, meaning in endpoint.headers.items():
        yield {
            "name": name,
            "in": "header",
            "required": False,
            "description": meaning,
            "schema": {"type": "string"},
        }


def _responses(endpoint: Endpoint, schema_of: dict[str, dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": endpoint.summary}
    if endpoint.answer is not None:
        good["content"] = {endpoint.media: {"schema": schema_of[str(endpoint.answer)]}}
    elif endpoint.status != 204:
        is_stream = endpoint.media == "text/event-stream"
        good["content"] = {endpoint.media: {} if is_stream else {"schema": {"type": "string"}}}
    responses = {str(endpoint.status): good}
    for status, meaning in endpoint.also.items():
        with_body = {} if status == 304 else good
        responses[str(status)] = {**with_body, "description": meaning}
    problem = {problems.MEDIA: {"schema": schema_of[str(ProblemView)]}}
    for status in sorted(_refusals(endpoint)):
        responses[str(status)] = {"description": TITLES[status], "content": problem}
    return responses


def _refusals(endpoint: Endpoint) -> set[int]:
    statuses = {problems.STATUSES[kind] for kind in endpoint.errors}
    statuses |= {400, 422, 503}
    if "{" in endpoint.path:
        statuses.add(404)
    if endpoint.role != PUBLIC:
        statuses |= {401, 403, 429}
    if endpoint.body is not None:
        statuses |= {408, 413, 415}
    return statuses
