"""What a shell says in the environment when it asks for completions instead of a run."""

from __future__ import annotations

import os

VARIABLE = "_JOBPIPE_COMPLETE"
"""Set by the script of ``jobpipe completion``."""


def asked_for_completion() -> str:
    """Return what the shell wants, such as ``bash_complete``; an empty text when it wants a run."""
    return os.environ.get(VARIABLE, "")
