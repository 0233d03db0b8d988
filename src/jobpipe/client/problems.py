"""What a service refuses (RFC 9457), as the errors that the library itself would have raised."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from jobpipe import errors
from jobpipe.errors import (
    ConfigError,
    Forbidden,
    InvalidArguments,
    JobpipeError,
    PayloadTooLarge,
    StoreUnavailable,
    Unauthorized,
)

BY_CODE: dict[str, type[JobpipeError]] = {
    **{
        kind.code: kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, JobpipeError)
    },
    "too_many_tries": Unauthorized,
}
"""The library's errors by their codes, and by a code that only a service has."""

BY_STATUS: dict[int, type[JobpipeError]] = {
    400: InvalidArguments,
    401: Unauthorized,
    403: Forbidden,
    404: ConfigError,
    405: ConfigError,
    413: PayloadTooLarge,
    415: InvalidArguments,
    422: InvalidArguments,
    502: StoreUnavailable,
    503: StoreUnavailable,
    504: StoreUnavailable,
}
"""What else a status means, when the code is none of the library's."""

UNDONE = frozenset({"stopping", "busy"})
"""Codes of refusals with which a service tells that it has done nothing."""

WRONG_PLACE = "Check that JOBPIPE_URL is the address of a Jobpipe service, its prefix included."
LONGEST_SHOWN = 500


def error_of(
    status: int, headers: Mapping[str, str], body: bytes, place: str, *, changes: bool
) -> JobpipeError:
    """Return the error of an answer; ``changes`` tells that the request was to change something."""
    told = _told(body)
    code, detail = told.get("code"), told.get("detail")
    if 300 <= status < 400:
        return ConfigError(
            f"the service at {place} sends us elsewhere, where the token does not go",
            help="Name that address itself in JOBPIPE_URL.",
        )
    if not isinstance(code, str) or not isinstance(detail, str):
        code, detail = "", f"the service at {place} answers {status} {_phrase(status)}"
    kind = BY_CODE.get(code) or BY_STATUS.get(status, JobpipeError)
    help = told.get("help") or (WRONG_PLACE if kind is ConfigError else None)
    error = kind(detail[:LONGEST_SHOWN], help=help if isinstance(help, str) else None)
    if isinstance(error, StoreUnavailable):
        error.outcome_unknown = changes and code not in UNDONE
    if request := headers.get("x-request-id"):
        error.add_note(f"The service logs it as request {request[:64]}.")
    return error


def code_of(body: bytes) -> str | None:
    """Return the code of a problem; None when the body is none."""
    code = _told(body).get("code")
    return code if isinstance(code, str) else None


def retry_after(headers: Mapping[str, str]) -> float:
    """Return how many seconds the service asks us to wait."""
    asked = headers.get("retry-after", "")
    return float(asked) if asked.isascii() and asked.isdigit() else 0.0


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
