"""URLs with their passwords hidden, fit for logs, errors and screens.

When a URL is too odd to tell where its password ends, more is hidden, never less.
"""

from __future__ import annotations

import re

MASK = "***"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_SECRET_PARAMETER = re.compile(
    r"([?&;][^=&;]*(?:password|passwd|passphrase|pwd|secret|token)[^=&;]*=)[^&]*", re.IGNORECASE
)


def mask_url(url: str) -> str:
    """The URL with the password of its user and of its query replaced by ``***``."""
    scheme_match = _SCHEME.match(url)
    scheme = scheme_match.group() if scheme_match else ""
    rest = url[len(scheme) :]
    is_file = scheme.lower().startswith("sqlite") and rest.startswith("/")
    # The last @ of all, not of the host part: an unescaped password may hold @, / and ?.
    user_info, at, tail = rest.rpartition("@")
    user, colon, _password = user_info.partition(":")
    if at and colon and not is_file:
        rest = f"{user}:{MASK}@{tail}"
    return scheme + _SECRET_PARAMETER.sub(rf"\g<1>{MASK}", rest)
