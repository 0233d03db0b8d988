"""Who calls, and whether he is let in: the Host he names, the page he comes from, his token.

Without tokens this machine alone is served, and only under its own names: a web page of a stranger
whose name leads here (DNS rebinding) names another. A proxy on this machine would let everybody in,
so what one passed on is refused then.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from jobpipe.config.web import is_loopback
from jobpipe.errors import ConfigError
from jobpipe.http.brake import Brake
from jobpipe.http.endpoint import Principal
from jobpipe.http.problems import Problem
from jobpipe.http.tokens import TokenBook, find
from jobpipe.model.role import Role

if TYPE_CHECKING:
    from starlette.types import Scope

    from jobpipe.config.settings import Settings

ANONYMOUS = Principal(name="anonymous", role=Role.ADMIN)
"""Who calls where no tokens are set."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})
PROXIED = frozenset({"forwarded", "via", "x-forwarded-for"})
"""Headers with which a proxy tells of itself: what is near then is the proxy, and not who calls."""

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::\d{1,5})?")
_BEARER = re.compile(r"bearer +([\x21-\x7e]+) *", re.IGNORECASE)


class Auth:
    """Judges requests to one service; ``book`` is None where no tokens are set."""

    def __init__(
        self,
        book: TokenBook | None,
        *,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
        brake: Brake | None = None,
    ) -> None:
        self._book = book
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._brake = brake or Brake()

    def doubt(self) -> str | None:
        """Tell whether tokens cannot be read, without what stands in the file."""
        if self._book is not None:
            self._book.entries()
            if self._book.problem is not None:
                return "the file of tokens cannot be used; the service's log tells why"
        return None

    def __call__(self, scope: Scope, headers: Mapping[str, str]) -> Principal:
        """Return who calls; raises Problem."""
        self.check_host(headers)
        check_page(scope["method"], headers, self._origins)
        address = scope["client"][0] if scope.get("client") else ""
        if self._book is not None:
            return self._known(self._book, address, headers.get("authorization"))
        if not is_loopback(address):
            raise unauthorized()
        if passed_on := sorted(PROXIED & headers.keys()):
            raise Problem(
                403,
                "proxied",
                f"without tokens no request is served that a proxy passed on ({passed_on[0]})",
                help="Set tokens for the service: JOBPIPE_TOKENS_FILE and `jobpipe token create`.",
            )
        return ANONYMOUS

    def check_public(self, headers: Mapping[str, str]) -> None:
        """Refuse who asks for what everybody may see through a stranger's name.

        Where tokens are set it is served under any name: a probe asks by address.
        """
        if self._book is None:
            self.check_host(headers)

    def is_current(self, principal: Principal) -> bool:
        """Tell whether who was let in would be still: for answers that last."""
        if self._book is None:
            return principal == ANONYMOUS
        known = ((entry.name, entry.role) for entry in self._book.entries())
        return (principal.name, principal.role) in known

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse a request that was meant for somebody else."""
        if self._book is not None and not self._hosts:
            return
        name = name_of(headers.get("host", ""))
        if not is_loopback(name) and name not in self._hosts:
            raise Problem(
                421,
                "wrong_host",
                "the Host header names no host of this service",
                help="Name the host in JOBPIPE_ALLOWED_HOSTS if it is one.",
            )

    def _known(self, book: TokenBook, address: str, credentials: str | None) -> Principal:
        if credentials is None:
            raise unauthorized()
        if (seconds := self._brake.wait_seconds(address)) > 0:
            raise Problem(
                429,
                "too_many_tries",
                "too many wrong tokens came from this address",
                help="Wait for the time in Retry-After, then use a valid token.",
                headers={"Retry-After": str(seconds)},
            )
        match = _BEARER.fullmatch(credentials)
        entry = find(book.entries(), match[1].encode()) if match else None
        if entry is None:
            self._brake.wrong(address)
            raise unauthorized()
        return Principal(name=entry.name, role=entry.role)


def auth_of(settings: Settings) -> Auth:
    """Return the judge that the settings ask for."""
    hosts = settings.allowed_hosts
    if settings.tokens is None and settings.tokens_file is None:
        return Auth(None, hosts=hosts, origins=settings.cors_origins)
    if hosts:
        hosts = (*hosts, settings.host)
    book = TokenBook(settings.tokens or (), settings.tokens_file)
    return Auth(book, hosts=hosts, origins=settings.cors_origins)


def check_bind(settings: Settings) -> None:
    """Refuse to be reached from elsewhere without tokens; raises ConfigError."""
    if settings.tokens is not None or settings.tokens_file is not None:
        return
    if not is_loopback(settings.host):
        raise ConfigError(
            f"JOBPIPE_HOST = {settings.host!r} is reached from other machines, and no token is set",
            help="Set JOBPIPE_TOKENS_FILE and make a token (jobpipe token create NAME --role ROLE),"
            " or serve this machine alone: --host 127.0.0.1",
        )


def check_tokens(settings: Settings) -> None:
    """Refuse to start with a file of tokens that cannot be used; raises ConfigError."""
    if settings.tokens_file is None:
        return
    book = TokenBook((), settings.tokens_file)
    book.entries()
    if book.problem is not None:
        raise ConfigError(
            f"JOBPIPE_TOKENS_FILE = {settings.tokens_file!r} cannot be used: {book.problem}",
            help="Make it with `jobpipe token create NAME --role ROLE`, or mend the entry.",
        )


def name_of(host: str) -> str:
    """Return the name in a Host header, without port and brackets; '' when it is malformed."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower().removesuffix(".") if match else ""


def check_page(method: str, headers: Mapping[str, str], origins: Collection[str]) -> None:
    """Refuse a change that a web page of another site asks a browser for."""
    if method in READING:
        return
    origin = headers.get("origin")
    if origin in origins:
        return
    is_ours = origin is None or origin.partition("://")[2] == headers.get("host", "")
    if not is_ours or headers.get("sec-fetch-site", "none") not in OWN_SITES:
        raise Problem(
            403,
            "foreign_page",
            "a web page of another site may not ask for this",
            help="Name its origin in JOBPIPE_CORS_ORIGINS if it may.",
        )


def unauthorized() -> Problem:
    """Return the one answer to no token, a wrong one and a revoked one."""
    return Problem(
        401,
        "unauthorized",
        "a valid token is needed",
        help="Send `Authorization: Bearer TOKEN`; `jobpipe token create` makes one.",
        headers={"WWW-Authenticate": "Bearer"},
    )
