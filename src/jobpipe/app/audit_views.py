"""What people and programs are shown of the audit: who changed what."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jobpipe.app.views import plain, time_text
from jobpipe.model.audit import AuditRecord


class AuditView(Struct, frozen=True, kw_only=True):
    """One change, or one request that stored jobs."""

    id: int
    time: str | None
    who: str
    via: str
    """``http``, ``cli`` or ``python``."""
    action: str
    job_id: int | None
    queue: str | None
    before: Any
    """Brief facts, an object; None where there was nothing."""
    after: Any
    request_id: str | None


def audit_view(record: AuditRecord) -> AuditView:
    """Show a row of the audit."""
    return AuditView(
        id=record.id,
        time=time_text(record.at),
        who=record.who,
        via=record.via,
        action=record.action,
        job_id=record.job_id,
        queue=record.queue,
        before=plain(record.before),
        after=plain(record.after),
        request_id=record.request_id,
    )
