"""What an application does about gates: keys that bound how many jobs run, in which order, how
often; and about pauses of tasks."""

from __future__ import annotations

from datetime import datetime

from jobpipe.app import gate_asks
from jobpipe.app.gate_asks import LIST_MAX, GateChange, GatePage
from jobpipe.app.gate_views import TASK, GateView
from jobpipe.verbs.asking import Asking


class Gates(Asking):
    """The verbs about gates."""

    def gates(self, kind: str | None = None, *, limit: int = LIST_MAX) -> list[GateView]:
        """List gates by kind and key, then the tasks that are paused (kind ``task``)."""
        return self.gate_page(kind, limit=limit).gates

    async def agates(self, kind: str | None = None, *, limit: int = LIST_MAX) -> list[GateView]:
        """List gates like ``gates``."""
        return (await self.agate_page(kind, limit=limit)).gates

    def gate_page(
        self, kind: str | None = None, *, limit: int = LIST_MAX, cursor: str | None = None
    ) -> GatePage:
        """Return a part of the list of gates, and where the next part begins."""
        return self._ask(gate_asks.gates(kind, limit, cursor))

    async def agate_page(
        self, kind: str | None = None, *, limit: int = LIST_MAX, cursor: str | None = None
    ) -> GatePage:
        """Return a part of the list of gates like ``gate_page``."""
        return await self._aask(gate_asks.gates(kind, limit, cursor))

    def limit_gate(
        self, kind: str, key: str, limit: int | str | None, *, burst: int | None = None
    ) -> GateView:
        """Set what counts for a key in place of what its jobs say; None: they count again.

        ``limit`` is a number for ``concurrency``, ``100/1m`` for a ``rate`` (``burst``: how many
        of them at once), and ``skip``, ``block`` or ``fail`` for a ``group``. It counts everywhere
        at once. Raises InvalidArguments.
        """
        return self.change_gate(kind, key, GateChange(limit=limit, burst=burst))

    async def alimit_gate(
        self, kind: str, key: str, limit: int | str | None, *, burst: int | None = None
    ) -> GateView:
        """Limit a key like ``limit_gate``."""
        return await self.achange_gate(kind, key, GateChange(limit=limit, burst=burst))

    def pause_gate(
        self, kind: str, key: str, reason: str | None = None, *, until: datetime | None = None
    ) -> GateView:
        """Let no job of a key through; what waits for a worker is taken back, what runs goes on.

        With ``until``, a time with a zone, the pause ends by itself. Raises InvalidArguments.
        """
        return self.change_gate(kind, key, GateChange(paused=True, reason=reason, until=until))

    async def apause_gate(
        self, kind: str, key: str, reason: str | None = None, *, until: datetime | None = None
    ) -> GateView:
        """Pause a key like ``pause_gate``."""
        change = GateChange(paused=True, reason=reason, until=until)
        return await self.achange_gate(kind, key, change)

    def resume_gate(self, kind: str, key: str) -> GateView:
        """Let jobs of a key through again."""
        return self.change_gate(kind, key, GateChange(paused=False))

    async def aresume_gate(self, kind: str, key: str) -> GateView:
        """Resume a key like ``resume_gate``."""
        return await self.achange_gate(kind, key, GateChange(paused=False))

    def change_gate(self, kind: str, key: str, change: GateChange) -> GateView:
        """Pause, resume or limit a key, all or nothing; returns the gate as it stands then."""
        return self._ask(gate_asks.change_gate(kind, key, change))

    async def achange_gate(self, kind: str, key: str, change: GateChange) -> GateView:
        """Change a key like ``change_gate``."""
        return await self._aask(gate_asks.change_gate(kind, key, change))

    def pause_task(
        self, name: str, reason: str | None = None, *, until: datetime | None = None
    ) -> None:
        """Let no job of a task begin, in any queue; what runs goes on.

        A worker that takes one sets it aside: it is ``blocked``, and no attempt is charged. With
        ``until``, a time with a zone, the pause ends by itself. Raises InvalidArguments.
        """
        self.pause_gate(TASK, name, reason, until=until)

    async def apause_task(
        self, name: str, reason: str | None = None, *, until: datetime | None = None
    ) -> None:
        """Pause a task like ``pause_task``."""
        await self.apause_gate(TASK, name, reason, until=until)

    def resume_task(self, name: str) -> None:
        """Let jobs of a task begin again; those that were set aside come back."""
        self.resume_gate(TASK, name)

    async def aresume_task(self, name: str) -> None:
        """Resume a task like ``resume_task``."""
        await self.aresume_gate(TASK, name)
