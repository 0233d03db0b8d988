"""Every call of the service: one table, in the order in which paths are tried."""

from __future__ import annotations

from jobpipe.http.endpoint import Endpoint
from jobpipe.http.routes import (
    claims,
    condition,
    events,
    flows,
    gates,
    jobs,
    metrics,
    operations,
    overview,
    pages,
    queues,
    steering,
    tenants,
)

CALLS: tuple[Endpoint, ...] = (
    *jobs.ENDPOINTS,
    *steering.ENDPOINTS,
    *operations.ENDPOINTS,
    *flows.ENDPOINTS,
    *queues.ENDPOINTS,
    *gates.ENDPOINTS,
    *tenants.ENDPOINTS,
    *claims.ENDPOINTS,
    *overview.ENDPOINTS,
    *events.ENDPOINTS,
    *condition.ENDPOINTS,
    *metrics.ENDPOINTS,
)
"""What programs call."""

ENDPOINTS: tuple[Endpoint, ...] = (*CALLS, *pages.endpoints(CALLS))
