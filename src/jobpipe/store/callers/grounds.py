"""What one application's store needs to know of callers' connections, learnt once.

Each kind of placeholder has its statements; a connection that was found to lead to the store is
not asked again.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress

from jobpipe.errors import ConfigError
from jobpipe.store.callers.caller import AsyncCaller, Caller, Ground


class Grounds:
    """The grounds of one store; safe to use from many threads."""

    def __init__(self, dialect: str, shown_url: str, make: Callable[[str], Ground]) -> None:
        self._dialect = dialect
        self._shown_url = shown_url
        self._make = make
        self._made: dict[str, Ground] = {}
        self._known: weakref.WeakSet[object] = weakref.WeakSet()

    def of(self, caller: Caller | AsyncCaller) -> Ground:
        """Return the ground for a kind of connection; may ask the store, and so block.

        Raises ConfigError for the kind of another database.
        """
        if caller.dialect != self._dialect:
            raise ConfigError(
                f"on= is a {caller.kind}, but this application's store is {self._shown_url}"
            )
        if caller.placeholder not in self._made:
            self._made[caller.placeholder] = self._make(caller.placeholder)
        return self._made[caller.placeholder]

    def is_known(self, connection: object) -> bool:
        """Tell whether this very connection was found to lead to the store."""
        try:
            return connection in self._known
        except TypeError:  # this kind cannot be remembered; asking it again is cheap
            return False

    def check(self, connection: object, is_ours: bool) -> None:
        """Remember a connection that leads to the store; raises ConfigError for another."""
        if not is_ours:
            raise ConfigError(
                f"on= leads to another database than this application's store, {self._shown_url}",
                help="Open the connection on the same database (and schema) as JOBPIPE_URL.",
            )
        with suppress(TypeError):
            self._known.add(connection)
