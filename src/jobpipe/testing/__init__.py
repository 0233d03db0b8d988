"""For users' tests: jobs in a store of their own, run when the test says so, on its clock.

from jobpipe.testing import Kit

with Kit(jp) as kit:
    sign_up("ada@example.org")
    kit.assert_enqueued(welcome, args=("ada@example.org",))
    kit.drain()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobpipe.testing.kit import Kit

__all__ = ["Kit"]


def __getattr__(name: str) -> object:
    """Load the kit when it is asked for: pytest imports this package in every suite."""
    if name == "Kit":
        from jobpipe.testing.kit import Kit

        return Kit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
