"""Checks of store URLs before anybody connects, with reasons that never repeat a password."""

from __future__ import annotations

import re

from jobpipe.config.values import nearest, read_text

POSTGRES_SCHEMES = ("postgresql", "postgres")
_SCHEMES = ("sqlite", *POSTGRES_SCHEMES)
_SERVICE_SCHEMES = ("http", "https")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://(.*)")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]@]*)(?::(\d{1,5}))?", re.ASCII)


def read_store_url(value: object) -> str:
    """The URL of a store."""
    url, scheme, rest = _split(value)
    if scheme in _SERVICE_SCHEMES:
        raise ValueError("this version cannot talk to a service yet")
    if scheme == "sqlite":
        if len(rest) < 2 or not rest.startswith("/"):
            raise ValueError("an SQLite URL has three slashes and then a path")
    elif scheme in POSTGRES_SCHEMES:
        _check_hosts(rest)
    else:
        raise ValueError(
            f"unknown scheme {scheme!r}; the nearest known one is {nearest(scheme, _SCHEMES)!r}"
        )
    return url


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


def _check_hosts(rest: str) -> None:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    for host in authority.rpartition("@")[2].split(","):
        match = _HOST.fullmatch(host)
        if match is None or not 1 <= int(match[1] or 1) <= 65_535:
            raise ValueError(
                "its host or port is malformed; in user and password write "
                "`@` as %40, `:` as %3A, `/` as %2F, `?` as %3F, `#` as %23"
            )
