"""How an operation's transaction begins, and when a run of it or an attempt to connect may start
again: one rule for both drivers.

An operation may after a conflict (the server undid it), and once after a lost connection, as long
as no commit can have reached the server. Everything else is the end of the run.
"""

from __future__ import annotations

import random
import time

from jobpipe.store.postgres import errors
from jobpipe.store.postgres.address import Address

LIMIT_STANDSTILL = "SET LOCAL idle_in_transaction_session_timeout = '10s'"
"""First in the transaction of each operation: what a process has locked that stands still in the
midst of it, or has lost its host, is free again before long."""
BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; {LIMIT_STANDSTILL}"

MOST_CONFLICTS = 5
CONFLICT_PAUSE = 0.01
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25
"""Seconds between two attempts to connect."""


class Attempts:
    """What happened so far in one run of one operation."""

    __slots__ = ("_address", "_conflicts", "_renewed", "may_be_stored")

    def __init__(self, address: Address) -> None:
        self._address = address
        self._conflicts = 0
        self._renewed = False
        self.may_be_stored = False
        """A commit was sent, so that a lost connection leaves the outcome unknown."""

    def pause_after(self, error: Exception, *, lost: bool) -> float:
        """Return how many seconds to wait before the next start.

        Raises the error, translated where it has a meaning, when there is to be none.
        """
        state = errors.sqlstate(error)
        if not lost and state in errors.CONFLICTS and self._conflicts < MOST_CONFLICTS:
            self._conflicts += 1
            return random.uniform(0, CONFLICT_PAUSE * 2**self._conflicts)
        again = (lost and not self.may_be_stored) or state in errors.STALE_PLANS
        if again and not self._renewed:
            self._renewed = True
            return 0.0
        if lost:
            raise errors.lost(error, self._address, outcome_unknown=self.may_be_stored) from error
        meaning = errors.explain(error, self._address)
        if meaning is None:
            raise error
        raise meaning from error


class Connecting:
    """One attempt to connect after the other, for as long as it may only be a restart."""

    __slots__ = ("_address", "_deadline", "_pause")

    def __init__(self, address: Address, seconds: float) -> None:
        self._address = address
        self._deadline = time.monotonic() + seconds
        self._pause = FIRST_PAUSE

    def pause_after(self, error: Exception) -> float:
        """Return how many seconds to wait before the next attempt.

        Raises the translated error when another attempt would be in vain or too late.
        """
        state = errors.sqlstate(error)
        passing = not state or state.startswith(errors.LATER)
        if not passing or time.monotonic() + self._pause > self._deadline:
            raise errors.unreachable(error, self._address) from error
        pause = random.uniform(self._pause / 2, self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return pause
