"""Named places in the code where a test may make the process die, pause or fail.

``failpoint("finish.before_commit")`` does nothing unless the setting JOBPIPE_FAILPOINTS armed that
name. The setting is a list of ``name=action`` or ``name=action@n`` (the n-th passage only), parted
by commas. Actions: ``kill`` (SIGKILL to this process), ``stop`` (SIGSTOP), ``raise``
(FailpointError), ``exit`` (leave at once with code 41).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from jobpipe.errors import ConfigError


class FailpointError(Exception):
    """An armed failpoint was passed."""


_armed: dict[str, tuple[str, int]] = {}
_passages: dict[str, int] = {}
_lock = threading.Lock()


def arm(text: str) -> None:
    """Arm the failpoints of the setting's text; an empty text disarms all.

    Raises ConfigError for an unknown action or a count that is no number.
    """
    _armed.clear()
    _passages.clear()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = entry.partition("=")
        action, _, count = rest.partition("@")
        if action not in _ACTIONS or not (count or "1").isdigit():
            raise ConfigError(
                f"JOBPIPE_FAILPOINTS has {entry!r}; allowed is name=action or name=action@n"
                f" with an action of {', '.join(_ACTIONS)}"
            )
        _armed[name] = (action, int(count or 0))


def failpoint(place: str, moment: str = "") -> None:
    """Pass a named place; ``moment`` is joined to it by a dot only when anything is armed."""
    if _armed:
        _pass(f"{place}.{moment}" if moment else place)


def _pass(name: str) -> None:
    if name not in _armed:
        return
    action, count = _armed[name]
    with _lock:
        _passages[name] = passage = _passages.get(name, 0) + 1
    if count in (0, passage):
        _ACTIONS[action](name)


def _kill(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise(name: str) -> None:
    raise FailpointError(name)


def _exit(_name: str) -> None:
    os._exit(41)


_ACTIONS: dict[str, Callable[[str], None]] = {
    "kill": _kill,
    "stop": _stop,
    "raise": _raise,
    "exit": _exit,
}
