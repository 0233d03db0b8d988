"""Throws a store away that was made to be thrown away; the statement refuses any other."""

from __future__ import annotations

from jobpipe.store.port import Mode, Op, Statement, operation

BENCH_PREFIX = "jobpipe_bench_"
"""How the name of every schema begins that a bench makes, and that alone may be dropped."""


@operation(Mode.TRANSACTION)
def drop_bench_schema(schema: str) -> Op[None]:
    """Drop the schema of a bench with all that is in it."""
    yield Statement("limit_lock_wait", {"schema": schema})
    yield Statement("drop_bench_schema")
