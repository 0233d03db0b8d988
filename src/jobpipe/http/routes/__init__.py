"""Every call of the service: one table, in the order in which paths are tried."""

from __future__ import annotations

from jobpipe.http.endpoint import Endpoint
from jobpipe.http.routes import condition, jobs, overview, queues, steering

ENDPOINTS: tuple[Endpoint, ...] = (
    *jobs.ENDPOINTS,
    *steering.ENDPOINTS,
    *queues.ENDPOINTS,
    *overview.ENDPOINTS,
    *condition.ENDPOINTS,
)
