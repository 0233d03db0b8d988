"""Lets blocked jobs in whose gates are open."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

from jobpipe.failpoint import failpoint
from jobpipe.runtime.bidding import Bidder, Undone
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops import admit as ops

BUSY_SECONDS = 0.005
"""Pause when another worker admits just now: it may have begun before the last news."""

SHORTEST_SECONDS = 0.001
"""Shortest pause until the time of a gate: it has not come yet."""

LATE_SECONDS = 10.0
"""How long a round begins before the notes of a transaction that is still open: any that writes on
this server, also in another database. What commits later is found by the next walk from the
beginning."""

FULL_SECONDS, FULL_SHARE, FULL_MOST_SECONDS = 1.0, 0.02, 30.0
"""Shortest time between two walks from the beginning, which miss nothing, their largest share of
the time, and the longest time between two."""


class Seen(NamedTuple):
    """Notes up to one were looked at; of those before it some may still come to light."""

    newest: int
    own: int
    """Who has drawn the number of such a note is a transaction with a lower number."""
    at: float

    def is_over(self, oldest: int, now: float) -> bool:
        return oldest >= self.own or now >= self.at + LATE_SECONDS


class Admitter:
    """Does rounds until there is nothing to look at; then waits for the next news, or until the
    time of a gate comes."""

    def __init__(self, bidder: Bidder, telling: Telling, max_payload: int) -> None:
        self._bidder = bidder
        self._telling = telling
        self._max_payload = max_payload
        self.is_busy = False
        """Somebody else did a round when this one was to be done."""
        self._gate_at = float("inf")
        self._since = 0
        self._newest: int | None = None
        """The newest note of the last rounds, and when it was known."""
        self._read_at = 0.0
        self._seen: deque[Seen] = deque()
        self._oldest = 0
        """All transactions with lower numbers have ended."""
        self._full_at = float("-inf")

    def near(self) -> int:
        """Return from which note on to look for what is new."""
        now = time.monotonic()
        while self._seen and self._seen[0].is_over(self._oldest, now):
            self._since = max(self._since, self._seen.popleft().newest + 1)
        return self._since

    def ask(self) -> int:
        """Return from which note on to look; from the beginning if that is due."""
        since = self.near()
        return 0 if time.monotonic() >= self._full_at else since

    def looked(self, since: int, took_seconds: float) -> None:
        """Nothing was noted from there on."""
        if not since:
            pause = min(took_seconds / FULL_SHARE, FULL_MOST_SECONDS)
            self._full_at = time.monotonic() + max(FULL_SECONDS, pause)

    def note(self, gate_in_us: int | None) -> bool:
        """Tell whether a gate's time, which a look has told, comes sooner than known so far."""
        return gate_in_us is not None and time.monotonic() + gate_in_us / 1e6 < self._gate_at

    async def once(self, *, claims: bool = False) -> float | None:
        """Do one round; return the seconds until the next, None if nothing is known.

        With ``claims`` whom it lets in is claimed at once, while the claimer rests.
        """
        failpoint("admit.before")
        since, began = self.ask(), time.monotonic()
        bid = self._bidder.bid_at_rest() if claims else None
        claim = bid.claim if bid is not None else None
        try:
            round_ = await self._bidder.run(bid, ops.admit(since, self._max_payload, claim))
        except Undone as undone:
            raise undone.error from None
        self.is_busy = round_ is None
        if round_ is None:
            return BUSY_SECONDS
        if round_.is_last_note:
            self.looked(since, time.monotonic() - began)
        return self.answered(began, round_)

    def answered(self, began: float, round_: ops.Admitted) -> float | None:
        """Take over what a round has done whose transaction was asked for then; return the seconds
        until the next, None if nothing is known. Nobody is told of whom it has claimed itself."""
        now = time.monotonic()
        self._remember(round_, began, now)
        taken = {job.id for job in round_.claimed or ()}
        queued = [job for job in round_.queued if job.id not in taken]
        self._telling.queued(queued, round_.ended)
        if round_.is_scheduled:
            self._telling.timed()
        pause = None
        if round_.next_in_us is not None:  # as of some moment within the transaction
            left = round_.next_in_us / 1e6
            pause = max(SHORTEST_SECONDS, left - (now - began) / 2) if left > 0 else 0.0
        self._gate_at = float("inf") if pause is None else now + pause
        return 0.0 if round_.more else pause

    def _remember(self, round_: ops.Admitted, began: float, now: float) -> None:
        """Note what the next rounds need not look at again.

        Transactions are counted after a round's notes were read, in a transaction that begins
        later: one that began before may have drawn its number earlier.
        """
        if self._newest is not None and began >= self._read_at:
            self._seen.append(Seen(self._newest, round_.own, now))
            self._newest = None
        self._oldest = max(self._oldest, round_.oldest)
        if round_.newest is not None:
            self._newest = max(self._newest or 0, round_.newest)
            self._read_at = now
