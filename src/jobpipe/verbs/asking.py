"""What every group of verbs stands on: one way to ask, blocking and awaited."""

from __future__ import annotations

from typing import TypeVar

from jobpipe.access import Access
from jobpipe.app.ask import Asked
from jobpipe.config.load import Effective
from jobpipe.config.settings import Settings
from jobpipe.delivery.hub import Hub
from jobpipe.tasks.registry import Registry

T = TypeVar("T")


class Asking:
    """An application as its verbs see it."""

    registry: Registry
    hub: Hub
    effective: Effective
    _access: Access

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.effective.settings

    @property
    def is_service(self) -> bool:
        """Whether a service over HTTP answers, and no store of our own."""
        return self._access.is_service

    def _ask(self, ask: Asked[T]) -> T:
        return self._access.ask(ask)

    async def _aask(self, ask: Asked[T]) -> T:
        return await self._access.aask(ask)
