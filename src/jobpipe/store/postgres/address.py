"""Where a PostgreSQL store is and how each driver connects to it.

One URL serves both drivers, although only libpq knows some of its parameters. The password is
never shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from jobpipe.config.mask import MASK, mask_url

APPLICATION = "jobpipe"
ATTEMPT_SECONDS = 10
"""Longest wait for one server to answer one attempt to connect."""
LOST_SECONDS = 30
"""How long data may stay unacknowledged before a connection counts as dead."""
PLAN_SECONDS = 10
"""How long a session keeps a plan: one made for a small table is wrong when it has grown."""

# asyncpg would send these to the server as settings, which refuses them.
ONLY_LIBPQ = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "replication",
        "requirepeer",
        "require_auth",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of a store; ``pooled`` when a transaction-mode pooler stands in between."""

    url: str = field(repr=False)
    pooled: bool = False

    @property
    def masked(self) -> str:
        return mask_url(self.url)

    def hide(self, text: str) -> str:
        """Return the text without the password, should it be in there."""
        for secret in self._passwords():
            text = text.replace(secret, MASK)
        return text

    def for_asyncpg(self) -> dict[str, Any]:
        """Return the arguments of ``asyncpg.connect``."""
        parts = urlsplit(self._written_out)
        query = [pair for pair in parse_qsl(parts.query) if pair[0] not in ONLY_LIBPQ]
        settings = {"application_name": APPLICATION}
        if not self.pooled:  # a pooler refuses settings that it does not track
            settings |= {"jit": "off", "default_transaction_isolation": "read committed"}
        for name, _value in query:
            settings.pop(name, None)
        return {
            "dsn": urlunsplit(parts._replace(query=urlencode(query))),
            "timeout": ATTEMPT_SECONDS,
            "statement_cache_size": 0 if self.pooled else 200,  # 0: statements have no names
            "max_cached_statement_lifetime": PLAN_SECONDS,
            "server_settings": settings,
        }

    def for_psycopg(self) -> dict[str, Any]:
        """Return the arguments of ``psycopg.connect``."""
        defaults = {
            "fallback_application_name": APPLICATION,
            "connect_timeout": ATTEMPT_SECONDS,
            "tcp_user_timeout": LOST_SECONDS * 1000,
            "keepalives_idle": LOST_SECONDS,
        }
        if not self.pooled:
            defaults["options"] = r"-c jit=off -c default_transaction_isolation=read\ committed"
        given = {name for name, _value in parse_qsl(urlsplit(self.url).query)}
        return {
            "conninfo": self._written_out,
            "autocommit": True,
            "prepare_threshold": None if self.pooled else 3,
            **{name: value for name, value in defaults.items() if name not in given},
        }

    @property
    def _written_out(self) -> str:
        """The URL with an ``@`` in the password escaped: both drivers would cut at the first."""
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=user.replace("@", "%40") + at + host))

    def _passwords(self) -> list[str]:
        user, _at, _host = urlsplit(self.url).netloc.rpartition("@")
        written = user.partition(":")[2]
        query = parse_qsl(urlsplit(self.url).query)
        given = [written, unquote(written), *(v for name, v in query if name == "password")]
        return sorted({secret for secret in given if secret}, key=len, reverse=True)
