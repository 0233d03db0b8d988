"""Errors as HTTP tells them: RFC 9457, with the codes that Python and the command line use too."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from jobpipe import errors
from jobpipe.errors import JobpipeError
from jobpipe.http.fields import in_fields

STATUSES: dict[type[JobpipeError], int] = {
    errors.InvalidArguments: 422,
    errors.UnknownTask: 422,
    errors.PayloadTooLarge: 413,
    errors.QueueFull: 429,
    errors.DuplicateKey: 409,
    errors.JobNotFound: 404,
    errors.OperationNotFound: 404,
    errors.FlowNotFound: 404,
    errors.InvalidTransition: 409,
    errors.LeaseLost: 409,
    errors.PreconditionFailed: 412,
    errors.StoreUnavailable: 503,
}
"""The status of each error that a verb may raise; any other is the service's own fault."""

HELP = {
    400: "Mend the request; /api/docs shows what each call takes.",
    404: "Look at /api/docs for what there is.",
    405: "Look at /api/docs for what each path answers to.",
    408: "Send the request again, without long pauses.",
    413: "Send less at once.",
    414: "Ask with a shorter target.",
    415: "Send plain JSON: `Content-Type: application/json`, and no Content-Encoding.",
    422: "Correct what the detail names; /api/docs shows what this call takes.",
    431: "Send fewer or shorter headers.",
    503: "Ask again in a moment; the service's log tells more.",
}
"""What to do where a problem says nothing of its own, by status."""

RETRY_SECONDS = {429: 1, 503: 1}
"""What Retry-After says where nobody knows better."""

DETAIL_MAX = 1_000
"""Most characters of a detail: it may name what was sent, but does not send it all back."""

MEDIA = "application/problem+json"


class Problem(Exception):
    """A request that is refused before any verb is called."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        help: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail[:DETAIL_MAX]
        self.help = help or HELP.get(status, "")
        self.headers = headers or {}


def of_error(error: JobpipeError) -> Problem:
    """Return the problem that an error of a verb is told as."""
    status = next((s for kind, s in STATUSES.items() if isinstance(error, kind)), 500)
    if status == 500:
        return internal()
    retry = RETRY_SECONDS.get(status)
    headers = {"Retry-After": str(retry)} if retry else {}
    detail = in_fields(str(error))
    return Problem(status, error.code, detail, help=error.help, headers=headers)


def internal() -> Problem:
    """Return what is said of an error that nobody foresaw: nothing of its inside."""
    return Problem(
        500,
        "internal",
        "the service met an error that it did not expect",
        help="Look for the request id in the service's log.",
    )


def stopping() -> Problem:
    """Return the refusal of new work while the service stops."""
    return Problem(
        503,
        "stopping",
        "the service is stopping and takes no new work",
        help="Ask again in a moment, or another process of the service.",
        headers={"Retry-After": "1"},
    )


def as_json(problem: Problem, request_id: str) -> dict[str, Any]:
    """Return the body of a problem."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "help": problem.help,
        "request_id": request_id,
    }
