"""Asks a PostgreSQL connection whether it leads to our store.

The catalogue comes first: a statement on a missing table would spoil the caller's transaction.
"""

from __future__ import annotations

from jobpipe.store.port import Mode, Op, Statement, operation


@operation(Mode.READ)
def leads_to(store_id: str) -> Op[bool]:
    """Tell whether our schema is there and its store has this id."""
    answer = yield Statement("store_exists")
    if not answer[0]["found"]:
        return False
    rows = yield Statement("store_id")
    return bool(rows and rows[0]["id"] == store_id)


def no_shift() -> int:
    """The identity does not depend on the clock."""
    return 0
