"""The tokens of the service: entries ``name:role:token``, of which only hashes are kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobpipe.config.mask import MASK
from jobpipe.model.role import Role

HASHED = "sha256:"
"""What a token begins with where its hash stands instead of it."""

ROLES = ", ".join(f"`{role}`" for role in Role)
ENTRIES_MAX = 10_000

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHOWN = re.compile(rf"[^\s,:]+:[a-z]+:{HASHED}[0-9a-f]{{64}}")


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """Who may call, as what; the token itself is not known here."""

    name: str
    role: Role
    digest: bytes = field(repr=False)
    """SHA-256 of the token."""

    def __str__(self) -> str:
        return f"{self.name}:{self.role}:{HASHED}{self.digest.hex()}"


def digest_of(token: bytes) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token).digest()


def is_name(name: str) -> bool:
    """Tell whether this may be the name of a token."""
    return _NAME.fullmatch(name) is not None


def read_tokens(value: object) -> tuple[TokenEntry, ...]:
    """Entries from text, separated by commas or blanks, or from a sequence of them."""
    if isinstance(value, str):
        return read_entries(filter(None, re.split(r"[,\s]+", value)))
    if isinstance(value, Sequence):
        return read_entries(str(each) for each in value)
    raise ValueError("not a list of entries")


def read_lines(text: str) -> tuple[TokenEntry, ...]:
    """Entries from a file: one a line; blank lines and those that begin with ``#`` are left out."""
    lines = (line.strip() for line in text.splitlines())
    return read_entries(line for line in lines if line and not line.startswith("#"))


def read_entries(texts: Iterable[str]) -> tuple[TokenEntry, ...]:
    """Read each entry; raises ValueError that names an entry, and never a token."""
    entries: dict[str, TokenEntry] = {}
    owners: dict[bytes, str] = {}
    for number, text in enumerate(texts, 1):
        if number > ENTRIES_MAX:
            raise ValueError(f"more than {ENTRIES_MAX} entries")
        entry = _read_entry(number, text)
        if entry.name in entries:
            raise ValueError(f"two entries are named {entry.name!r}")
        if entry.digest in owners:
            raise ValueError(f"{owners[entry.digest]!r} and {entry.name!r} have the same token")
        entries[entry.name] = entry
        owners[entry.digest] = entry.name
    return tuple(entries.values())


def format_tokens(value: object) -> str:
    """The entries as ``read_tokens`` takes them, with hashes."""
    return ",".join(str(entry) for entry in read_tokens(value))


def mask_tokens(text: str) -> str:
    """Return shown entries without their hashes; of anything else, nothing."""
    parts = text.split(",")
    if not all(_SHOWN.fullmatch(part) for part in parts):
        return MASK
    return ",".join(f"{part.partition(f':{HASHED}')[0]}:{MASK}" for part in parts)


def _read_entry(number: int, text: str) -> TokenEntry:
    name, _, rest = text.partition(":")
    role, colon, token = rest.partition(":")
    if not colon or not is_name(name):
        # What stands first may be the token, so it is not repeated.
        raise ValueError(f"entry {number} is not of the form `name:role:token`")
    if role not in list(Role):
        raise ValueError(f"the role of {name!r} is none of {', '.join(Role)}")
    if token.startswith(HASHED):
        digest = token.removeprefix(HASHED).lower()
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"the hash of {name!r} is not 64 hexadecimal digits")
        return TokenEntry(name, Role(role), bytes.fromhex(digest))
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"the token of {name!r} is not 1 to 512 visible ASCII characters")
    return TokenEntry(name, Role(role), digest_of(token.encode()))
