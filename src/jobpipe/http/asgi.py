"""Makes the ASGI application of a ``Jobpipe``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.types import Scope

from jobpipe.http.endpoint import Principal
from jobpipe.http.routes import ENDPOINTS
from jobpipe.http.service import NOBODY, Service

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe


def asgi(app: Jobpipe, *, worker: bool = False) -> Service:
    """Return the service of an application; ``worker`` runs its jobs in the same process."""
    return Service(app, ENDPOINTS, _anybody, worker=worker)


def _anybody(_scope: Scope, _headers: Mapping[str, str]) -> Principal:
    return NOBODY
