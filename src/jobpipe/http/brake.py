"""A brake for who guesses tokens: so many wrong ones a minute from one address, and no more."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

TRIES = 100
"""Wrong tokens of one address that are looked at in a minute."""
WINDOW_SECONDS = 60.0
ADDRESSES_MAX = 10_000
"""Most addresses that are remembered; the oldest are forgotten first."""


class Brake:
    """Counts wrong tokens by address; used on one thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tries: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """Return how long no token of this address is looked at; 0 when it is now."""
        began, tries = self._tries.get(_place(address), (0.0, 0))
        left = began + WINDOW_SECONDS - self._now()
        return math.ceil(left) if tries >= TRIES and left > 0 else 0

    def wrong(self, address: str) -> None:
        """Count a wrong token."""
        place, now = _place(address), self._now()
        began, tries = self._tries.pop(place, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, tries = now, 0
        self._tries[place] = began, tries + 1
        if len(self._tries) > ADDRESSES_MAX:
            self._tries.popitem(last=False)


def _place(address: str) -> str:
    """Return what counts as one address: an IPv6 network of 64 bits belongs to one household."""
    try:
        read = ip_address(address)
    except ValueError:
        return address
    return str(int(read) >> 64) if isinstance(read, IPv6Address) else address
