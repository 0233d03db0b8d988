"""What an application does about the tenants of its queues."""

from __future__ import annotations

from jobpipe.app import tenants as asks
from jobpipe.store.ops.tenant import TenantRecord
from jobpipe.verbs.asking import Asking


class Tenants(Asking):
    """The verbs about tenants."""

    def tenants(
        self,
        queue_name: str | None = None,
        *,
        limit: int = asks.PAGE,
        after: tuple[str, str] | None = None,
    ) -> list[TenantRecord]:
        """List those who share a queue, or all queues, by queue and name.

        Shown is who has a weight of his own or jobs there; ``after`` is the queue and the name of
        the last of the page before. Raises InvalidArguments.
        """
        return self._ask(asks.tenants(queue_name, limit, after))

    async def atenants(
        self,
        queue_name: str | None = None,
        *,
        limit: int = asks.PAGE,
        after: tuple[str, str] | None = None,
    ) -> list[TenantRecord]:
        """List tenants like ``tenants``."""
        return await self._aask(asks.tenants(queue_name, limit, after))

    def set_weight(self, queue_name: str, tenant: str, weight: int) -> None:
        """Set how many turns a tenant of a queue has for each turn of one that weighs 1.

        From 1 to 1000; it counts from the tenant's next turn on. Raises InvalidArguments.
        """
        self._ask(asks.set_weight(queue_name, tenant, weight))

    async def aset_weight(self, queue_name: str, tenant: str, weight: int) -> None:
        """Set the weight of a tenant like ``set_weight``."""
        await self._aask(asks.set_weight(queue_name, tenant, weight))
