"""Edits the file of tokens: whoever reads it meanwhile sees the old one or the new one, whole."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobpipe.config.tokens import TokenEntry, digest_of, is_name, read_lines
from jobpipe.errors import ConfigError
from jobpipe.model.role import Role

TOKEN_PREFIX = "jp_"  # noqa: S105  # what scanners of sources look for
TOKEN_BYTES = 32


def create(path: Path, name: str, role: Role) -> str:
    """Add an entry and return its new token; raises ConfigError."""
    if not is_name(name):
        raise ConfigError(
            f"{name!r} is no name of a token: 1 to 64 of A-Z a-z 0-9 _ . @ -",
            help="Name it after who will use it.",
        )
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    entry = TokenEntry(name, role, digest_of(token.encode()))
    with _locked(path):
        text = _text(path)
        if name in [each.name for each in _entries(path, text)]:
            raise ConfigError(
                f"{str(path)!r} holds a token named {name!r} already",
                help=f"Name it otherwise, or revoke that one: jobpipe token revoke {name}",
            )
        gap = "" if not text or text.endswith("\n") else "\n"
        _replace(path, f"{text}{gap}{entry}\n")
    return token


def entries(path: Path) -> tuple[TokenEntry, ...]:
    """Return what the file holds; nothing when there is none. Raises ConfigError."""
    return _entries(path, _text(path))


def revoke(path: Path, name: str) -> bool:
    """Take an entry out; returns False when there is none of that name. Raises ConfigError."""
    with _locked(path):
        text = _text(path)
        if name not in [each.name for each in _entries(path, text)]:
            return False
        lines = text.splitlines(keepends=True)
        _replace(path, "".join(line for line in lines if not line.strip().startswith(f"{name}:")))
        return True


def _entries(path: Path, text: str) -> tuple[TokenEntry, ...]:
    try:
        return read_lines(text)
    except ValueError as error:
        reason = str(error)
    raise ConfigError(f"{str(path)!r} cannot be used: {reason}", help="Mend the entry first.")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    raise ConfigError(f"{str(path)!r} cannot be used: {reason}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep others from editing any file of the folder meanwhile."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"the folder of {str(path)!r} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    """Put another file in its place, with the owner and the mode of the old one (0600)."""
    path = path.resolve()
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                if path.exists():
                    before = path.stat()
                    os.fchmod(descriptor, before.st_mode & 0o777)
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            os.replace(name, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}") from None
