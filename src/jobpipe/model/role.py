"""What a caller of the service may do."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A role; what it may do beside its own is in ``INCLUDES``."""

    VIEWER = "viewer"
    """Reads jobs, queues, workers."""
    PRODUCER = "producer"
    """Enqueues, and reads."""
    WORKER = "worker"
    """Claims jobs and says how they ended; nothing else."""
    OPERATOR = "operator"
    """Also cancels, re-runs, changes and deletes jobs, pauses queues."""
    ADMIN = "admin"
    """Everything."""


INCLUDES: dict[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.PRODUCER: frozenset({Role.PRODUCER, Role.VIEWER}),
    Role.WORKER: frozenset({Role.WORKER}),
    Role.OPERATOR: frozenset({Role.OPERATOR, Role.PRODUCER, Role.VIEWER}),
    Role.ADMIN: frozenset(Role),
}


def may(role: Role, needed: Role) -> bool:
    """Tell whether a caller with ``role`` may do what ``needed`` may."""
    return needed in INCLUDES[role]
