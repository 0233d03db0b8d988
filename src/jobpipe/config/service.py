"""What a service manager (systemd) says in the environment of the program that it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_NAMES = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Where to tell of our condition, and how often we must."""

    address: str
    """A Unix datagram socket; one that begins with ``@`` is in the abstract namespace."""
    watchdog_seconds: float | None
    """Silence for so long is taken for a failure."""


def read_service_manager(environ: Mapping[str, str] | None = None) -> ServiceManager | None:
    """Return who started us and wants to hear of us; None when nobody does."""
    environ = os.environ if environ is None else environ
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    watched = is_ours and microseconds.isascii() and microseconds.isdigit()
    return ServiceManager(address, int(microseconds) / 1e6 if watched else None)


def environment_of_children(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what is meant for this process alone."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if name not in _NAMES}
