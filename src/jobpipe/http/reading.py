"""Reads what a request carries, bounded before it is parsed: its body and its query."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect
from starlette.types import Receive

from jobpipe.http.problems import Problem
from jobpipe.tasks import wire

T = TypeVar("T")

BODY_SECONDS = 30.0
"""How long a body may take to arrive."""
DEPTH_MAX = wire.MAX_DEPTH + 3
"""How deep arrays and objects of a body may stand in each other: arguments stand in a job, and
that in the list of a bulk."""
ITEMS_MAX = 200_000
"""Most arrays, objects and commas of a body, which bound its values."""
QUERY_MAX = 30
"""Most parameters of a query."""

JSON = "application/json"


class ClientGone(Exception):
    """The client closed its connection before the end of its request."""


async def read_body(receive: Receive, headers: Mapping[str, str], most: int) -> bytes:
    """Return the body; raises Problem for one too large, too slow or encoded, ClientGone."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported_encoding", "a body must not be compressed")
    length = headers.get("content-length")
    if length is not None and length.isdigit() and int(length) > most:
        raise _too_large(most)
    chunks: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > most:
                    raise _too_large(most)
                more = message.get("more_body", False)
    except TimeoutError:
        detail = f"the body took longer than {BODY_SECONDS:g} s"
        raise Problem(408, "request_timeout", detail, headers={"Connection": "close"}) from None
    return b"".join(chunks)


def decode(body: bytes, headers: Mapping[str, str], wanted: type[T]) -> T:
    """Return the body as the type wanted; raises Problem naming what is wrong with it."""
    if not body and not headers.get("content-type"):
        body = b"{}"
    elif headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Problem(415, "unsupported_media_type", f"a body must be {JSON}")
    _check_shape(body)
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_body", _told(error, wanted)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Problem(400, "malformed_json", f"the body is no JSON: {error}") from None


def read_query(query: bytes, wanted: type[T]) -> T:
    """Return the parameters as the type wanted; raises Problem naming the first wrong one."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_MAX
        )
    except ValueError as error:
        raise Problem(400, "malformed_query", f"the query cannot be read: {error}") from None
    given = dict(pairs)
    if len(given) < len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        raise Problem(422, "invalid_query", f"the parameter {twice!r} is given twice")
    try:
        found = msgspec.convert(given, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_query", _told(error, wanted)) from None
    for name, text in given.items():
        if getattr(found, name, text) is None:  # a text cannot say that there is none
            raise Problem(422, "invalid_query", f"the parameter {name!r} is not {text!r}")
    return found


STEP = re.compile(r"\.(\w+)|\[")
"""One step of a path such as ``$.jobs[0].group``: to a field, or into a list."""


def _told(error: msgspec.ValidationError, wanted: type) -> str:
    """Return what is wrong; where it is none of a few words, with these."""
    told = str(error)
    _, enum, path = told.rpartition(" - at `$")
    if not told.startswith("Invalid enum value") or not enum:
        return told
    kinds = _members(inspect.type_info(wanted))
    for step in STEP.finditer(path):
        kinds = [member for kind in kinds for member in _below(kind, step[1])]
    words = [word for kind in kinds for word in _words(kind)]
    return f"{told}; allowed: {', '.join(words)}" if words else told


def _below(kind: inspect.Type, name: str | None) -> list[inspect.Type]:
    if name is None and isinstance(kind, inspect.ListType):
        return _members(kind.item_type)
    fields = kind.fields if isinstance(kind, inspect.StructType) else ()
    return [each for field in fields if field.encode_name == name for each in _members(field.type)]


def _members(kind: inspect.Type) -> list[inspect.Type]:
    return list(kind.types) if isinstance(kind, inspect.UnionType) else [kind]


def _words(kind: inspect.Type) -> list[str]:
    if isinstance(kind, inspect.EnumType):
        return [str(each.value) for each in kind.cls]
    return [str(value) for value in kind.values] if isinstance(kind, inspect.LiteralType) else []


def _check_shape(body: bytes) -> None:
    """Refuse what would cost much more to hold than to send; counts before it walks."""
    opened = body.count(b"[") + body.count(b"{")
    if opened + body.count(b",") > ITEMS_MAX:
        raise Problem(413, "too_many_items", f"the body holds more than {ITEMS_MAX:,} items")
    if opened > DEPTH_MAX and _depth(body) > DEPTH_MAX:
        raise Problem(422, "too_deep", f"the body is nested deeper than {DEPTH_MAX} levels")


TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A text of JSON; one that does not end goes to the end, so no byte is looked at twice."""
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _depth(body: bytes) -> int:
    """Return how deep the brackets stand in each other; those inside of texts do not count."""
    depth = deepest = 0
    for byte in TEXT.sub(b"", body).translate(None, NO_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _too_large(most: int) -> Problem:
    return Problem(
        413,
        "payload_too_large",
        f"the body is larger than {most:,} bytes",
        help="Store the bytes elsewhere and pass a reference, or raise JOBPIPE_MAX_PAYLOAD.",
        headers={"Connection": "close"},
    )


def plain_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by their lower-case names; raises Problem for one that must not be doubled."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        if key in headers and key in SINGLE:
            raise Problem(400, "malformed_header", f"the header {key} is given twice")
        headers[key] = value.decode("latin-1")
    return headers


def utf_8(value: str | None) -> str | None:
    """Return the value of a header whose bytes are UTF-8 as that, any other as it is."""
    try:
        return value and value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


SINGLE = frozenset(
    {"authorization", "content-length", "content-type", "host", "idempotency-key", "if-match"}
)
"""Headers that say one thing or nothing."""
