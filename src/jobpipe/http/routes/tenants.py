"""Tenants: who shares a queue, and what each weighs."""

from __future__ import annotations

from msgspec import Struct

from jobpipe import errors
from jobpipe.app.tenants import TenantView, WeightView, tenant_page
from jobpipe.app.views import PageView
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.paging import PageSize, tenant_cursor
from jobpipe.model.role import Role


class TenantsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose tenants, by queue and name."""

    queue: str | None = None
    limit: PageSize = 100
    cursor: str | None = None
    """``next_cursor`` of the page before."""


class WeightQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """In which queue."""

    queue: str


class WeightBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """How many turns it has for each turn of a tenant that weighs 1."""

    weight: int


async def list_tenants(call: Call) -> Answer:
    query: TenantsQuery = call.query
    after = tenant_cursor(query.cursor)
    found = await call.app.atenants(query.queue, limit=query.limit, after=after)
    return Answer(value=tenant_page(found, query.limit))


async def set_weight(call: Call) -> Answer:
    queue, name, weight = call.query.queue, call.path["tenant"], call.body.weight
    await call.app.aset_weight(queue, name, weight)
    return Answer(value=WeightView(queue=queue, tenant=name, weight=weight))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/tenants",
        role=Role.VIEWER,
        handle=list_tenants,
        summary="List the tenants of queues: their weights, and how many jobs wait, may run, run",
        query=TenantsQuery,
        answer=PageView[TenantView],
        errors=(errors.InvalidArguments,),
    ),
    Endpoint(
        method="PATCH",
        path="/api/v1/tenants/{tenant:path}",
        role=Role.OPERATOR,
        handle=set_weight,
        summary="Set how much a tenant of a queue weighs",
        query=WeightQuery,
        body=WeightBody,
        answer=WeightView,
        errors=(errors.InvalidArguments,),
    ),
)
