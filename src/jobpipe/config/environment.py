"""The environments of processes that Jobpipe starts: what a job need not know is not in them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from jobpipe.config.declared import SETTINGS

PASSED_TO_COMMANDS = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
"""All that a command gets of our environment, beside ``LC_*``."""

EVERY = "*"

_SECRET = {
    name
    for setting in SETTINGS
    if setting.secret
    for name in (setting.env, setting.fallback_env)
    if name is not None
}


def whole_environment() -> dict[str, str]:
    """Return all of it."""
    return dict(os.environ)


def child_environment(passed: Sequence[str]) -> dict[str, str]:
    """Return it without our secret settings, but for the names to be passed on (``*``: all)."""
    if EVERY in passed:
        return whole_environment()
    dropped = _SECRET.difference(passed)
    return {name: value for name, value in os.environ.items() if name not in dropped}


def command_environment() -> dict[str, str]:
    """Return the little that any program needs to know."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_TO_COMMANDS or name.startswith("LC_")
    }
