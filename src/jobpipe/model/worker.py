"""A worker as the store knows it: one row is one incarnation, its name is only a label."""

from __future__ import annotations

from msgspec import Struct


class NewWorker(Struct, frozen=True, kw_only=True):
    """What a worker tells of itself when it starts."""

    name: str
    host: str
    """Host, boot and process namespace: two equal texts mean that a pid can be looked up."""
    pid: int
    pid_started: str
    """When the kernel started that pid, so that a pid used again is not taken for it."""
    slots: int
    queues: list[str]
    supervisor_pid: int | None = None
    supervisor_started: str = ""
    """When the kernel started the supervisor, as for ``pid_started``; empty without one."""


class WorkerRecord(Struct, frozen=True, kw_only=True):
    """A worker that has not ended."""

    id: int
    name: str
    host: str
    pid: int
    pid_started: str
    slots: int
    queues: str
    started_at: int
    seen_at: int
    lease_until: int
    expired: bool
    supervisor_pid: int | None = None
    supervisor_started: str = ""
