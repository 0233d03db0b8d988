"""The loop that drives an operation: ask it for a statement, send it the rows, return its result.

``execute`` is the driver's or the caller's connection; transactions are the business of whoever
calls. An operation declared as one statement that yields a second one is refused before that one
is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from jobpipe.store.port import Mode, Operation, Rows, Statement

T = TypeVar("T")


def step(operation: Operation[T], execute: Callable[[Statement], Rows]) -> T:
    """Run the operation's statements one after another."""
    steps = operation.start()
    try:
        statement = next(steps)
        while True:
            rows = execute(statement)
            statement = steps.send(rows)
            if operation.mode is Mode.ONE:
                raise RuntimeError(f"{operation.name} is declared as one statement, yields more")
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


async def astep(operation: Operation[T], execute: Callable[[Statement], Awaitable[Rows]]) -> T:
    """Run the operation's statements one after another, waiting for each."""
    steps = operation.start()
    try:
        statement = next(steps)
        while True:
            rows = await execute(statement)
            statement = steps.send(rows)
            if operation.mode is Mode.ONE:
                raise RuntimeError(f"{operation.name} is declared as one statement, yields more")
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()
