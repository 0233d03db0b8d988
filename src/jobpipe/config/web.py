"""Readers of what concerns the HTTP service: where it listens, and which names it takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network

from jobpipe.config.values import read_text

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")
_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?")


@lru_cache(maxsize=64)  # callers name few, again and again
def is_loopback(host: str) -> bool:
    """Tell whether only this machine is reached by that name or address."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def read_host(value: object) -> str:
    """A name or an address, an IPv6 address with brackets or without."""
    host = read_text(value)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return str(ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise ValueError("neither a name nor an address") from None
        return host.lower()


def read_hosts(value: object) -> tuple[str, ...]:
    """Names and addresses."""
    return tuple(read_host(each) for each in _listed(value))


def read_origins(value: object) -> tuple[str, ...]:
    """Origins of web pages, as a browser names them."""
    origins = tuple(read_text(each).lower() for each in _listed(value))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is not of the form `https://host` or `https://host:port`")
    return origins


def read_proxies(value: object) -> tuple[str, ...]:
    """Addresses and networks."""
    found = []
    for each in _listed(value):
        try:
            found.append(str(ip_network(read_text(each))))
        except ValueError:
            raise ValueError("one is neither an address nor a network") from None
    return tuple(found)


def format_list(value: object) -> str:
    """The entries as these readers take them."""
    return ",".join(str(each) for each in _listed(value))


def _listed(value: object) -> Sequence[object]:
    if isinstance(value, str):
        return [each for each in re.split(r"[,\s]+", value) if each]
    if isinstance(value, Sequence):
        return value
    raise ValueError("not a list")
