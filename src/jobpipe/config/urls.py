"""Checks of URLs before anybody connects, with reasons that never repeat a password."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from jobpipe.config.values import nearest, read_text

POSTGRES_SCHEMES = ("postgresql", "postgres")
SERVICE_SCHEMES = ("http", "https")
_SCHEMES = ("sqlite", *POSTGRES_SCHEMES, *SERVICE_SCHEMES)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://(.*)")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]@]*)(?::(\d{1,5}))?", re.ASCII)
_SERVICE_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]+)(?::(\d{1,5}))?", re.ASCII)


def read_store_url(value: object) -> str:
    """The URL of a store, or of a service that has one."""
    url, scheme, rest = _split(value)
    if scheme in SERVICE_SCHEMES:
        _check_service(rest)
    elif scheme == "sqlite":
        if len(rest) < 2 or not rest.startswith("/"):
            raise ValueError("an SQLite URL has three slashes and then a path")
    elif scheme in POSTGRES_SCHEMES:
        _check_hosts(rest)
    else:
        raise ValueError(
            f"unknown scheme {scheme!r}; the nearest known one is {nearest(scheme, _SCHEMES)!r}"
        )
    return url


def is_service(url: str) -> bool:
    """Tell whether a checked URL names a service, and no store."""
    return url.partition(":")[0].lower() in SERVICE_SCHEMES


def is_plain(url: str) -> bool:
    """Tell whether what is sent to the service of this URL can be read on the way."""
    return url.partition(":")[0].lower() == "http"


def host_of(url: str) -> str:
    """Return the host of a service's URL, an IPv6 address without its brackets."""
    return urlsplit(url).hostname or ""


def read_listen_url(value: object) -> str:
    """The direct URL of a PostgreSQL server."""
    url, scheme, rest = _split(value)
    if scheme not in POSTGRES_SCHEMES:
        raise ValueError("LISTEN needs a PostgreSQL server")
    _check_hosts(rest)
    return url


def _split(value: object) -> tuple[str, str, str]:
    url = read_text(value)
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("not a URL: it does not begin with a scheme and `://`")
    return url, match[1].lower(), match[2]


def _check_service(rest: str) -> None:
    if any(mark in rest for mark in "@?#"):
        raise ValueError(
            "the URL of a service has no user, query or fragment; the token goes apart"
        )
    match = _SERVICE_HOST.fullmatch(rest.partition("/")[0])
    if match is None or not 1 <= int(match[1] or 1) <= 65_535:
        raise ValueError("its host or port is malformed")


def _check_hosts(rest: str) -> None:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    for host in authority.rpartition("@")[2].split(","):
        match = _HOST.fullmatch(host)
        if match is None or not 1 <= int(match[1] or 1) <= 65_535:
            raise ValueError(
                "its host or port is malformed; in user and password write "
                "`@` as %40, `:` as %3A, `/` as %2F, `?` as %3F, `#` as %23"
            )
