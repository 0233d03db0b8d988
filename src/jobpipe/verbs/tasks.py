"""What an application tells of one of its tasks."""

from __future__ import annotations

from jobpipe.app import task_asks
from jobpipe.app.task_views import TaskDetail
from jobpipe.verbs.asking import Asking


class Catalogue(Asking):
    """The verbs about single tasks."""

    def task_detail(self, name: str) -> TaskDetail:
        """Return all that is shown of a declared task, by its name or an alias.

        Of a service, of one that it declares. Raises UnknownTask.
        """
        return self._ask(task_asks.task(self.registry, name))

    async def atask_detail(self, name: str) -> TaskDetail:
        """Return all that is shown of a declared task like ``task_detail``."""
        return await self._aask(task_asks.task(self.registry, name))
