"""Pages for people: the start page, the page that lets one try every call, and its document.

All that they load comes from here, so they work with no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from starlette.responses import Response

from jobpipe.http.endpoint import PUBLIC, Answer, Call, Endpoint, Handler
from jobpipe.http.openapi import document
from jobpipe.http.problems import Problem

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
ASSETS = frozenset({"pages.css", "docs.js"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load: its own files, nothing inline."""


@cache
def _text(name: str) -> bytes:
    return files("jobpipe.http").joinpath("pages", name).read_bytes()


def _page(name: str) -> Response:
    kind = KINDS[name.rpartition(".")[2]]
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache"}
    return Response(_text(name), media_type=kind, headers=headers)


async def start_page(_call: Call) -> Response:
    return _page("index.html")


async def docs_page(_call: Call) -> Response:
    return _page("docs.html")


async def docs_asset(call: Call) -> Response:
    name = call.path["name"]
    if name not in ASSETS:
        raise Problem(404, "not_found", "there is no such file")
    return _page(name)


def endpoints(others: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return the pages, and the document of all other endpoints."""
    return (
        _html("/", start_page, "A page that links what there is"),
        _html("/api/docs", docs_page, "A page that lets one try every call"),
        Endpoint(
            method="GET",
            path="/api/docs/{name}",
            role=PUBLIC,
            handle=docs_asset,
            summary="What that page loads",
            media="text/javascript",
        ),
        Endpoint(
            method="GET",
            path="/api/openapi.json",
            role=PUBLIC,
            handle=_document_of(others),
            summary="This document",
            answer=dict,
        ),
    )


def _document_of(others: Sequence[Endpoint]) -> Handler:
    @cache
    def made() -> dict[str, object]:
        return document(others)

    async def api_document(_call: Call) -> Answer:
        return Answer(value=made(), headers={"cache-control": "no-cache"})

    return api_document


def _html(path: str, handle: Handler, summary: str) -> Endpoint:
    return Endpoint(
        method="GET", path=path, role=PUBLIC, handle=handle, summary=summary, media="text/html"
    )
