"""Makes the ASGI application of a ``Jobpipe``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobpipe.http.auth import auth_of
from jobpipe.http.routes import ENDPOINTS
from jobpipe.http.service import Service

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe


def asgi(app: Jobpipe, *, worker: bool = False) -> Service:
    """Return the service of an application; ``worker`` runs its jobs in the same process."""
    auth = auth_of(app.settings)
    service = Service(app, ENDPOINTS, auth, worker=worker)
    service.condition.doubt = auth.doubt
    service.condition.is_current = auth.is_current
    return service
