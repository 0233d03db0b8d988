"""The version of a job as HTTP tells it (ETag) and asks for it (If-Match); times with offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from jobpipe.app.steering import etag
from jobpipe.app.views import JobView
from jobpipe.http.endpoint import Answer, Call

IF_MATCH = {"If-Match": "Only if this is still the ETag of the job: otherwise 412."}

_TAG = re.compile(r'"([\x21\x23-\x7e]{0,64})"')


def quoted(view: JobView) -> str:
    """Return the ETag of a job."""
    return f'"{etag(view)}"'


def with_tag(view: JobView) -> Answer:
    """Answer a job with its version."""
    return Answer(value=view, headers={"ETag": quoted(view)})


def wanted_version(call: Call) -> str | None:
    """Return the version that a change is meant for; None where any will do."""
    given = call.headers.get("if-match")
    if given is None or given == "*":
        return None
    match = _TAG.fullmatch(given)
    return match[1] if match else given  # what is no ETag is that of no job


def is_known(call: Call, tag: str) -> bool:
    """Tell whether who calls has that version already; a weak ETag counts like a strong one."""
    given = call.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in re.findall(r'"[^"]*"', given)


def aware(moment: datetime | None) -> datetime | None:
    """Return a time with its offset; one without is in UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
