"""Gives a task what it depends on, and tears that down after it, the last first.

Written once for the loop and for threads: ``do`` makes each call where it belongs. An exception of
the task is thrown into the generators and stays the outcome, whatever they make of it, unless they
raise another; what a tear-down raises after a success is judged like the task's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Protocol

from jobpipe.tasks.depends import CurrentJob
from jobpipe.tasks.providers import Dependencies, Provider

Shared = Mapping[Callable[..., Any], object]
"""What the lifespans of this process have yielded, by their functions."""


class Do(Protocol):
    """Makes a call; ``awaited`` says that what it returns is to be awaited on the loop."""

    def __call__(
        self, awaited: bool, function: Callable[..., Any], *args: Any
    ) -> Awaitable[Any]: ...


async def call_with(
    dependencies: Dependencies,
    job: CurrentJob,
    shared: Shared,
    do: Do,
    call: Callable[[dict[str, object]], Awaitable[Any]],
) -> Any:
    """Return what ``call`` returns when it is given the values of the task's parameters."""
    async with AsyncExitStack() as stack:
        values: dict[Provider, object] = {}
        for provider in dependencies.order:
            if provider.function in shared:
                values[provider] = shared[provider.function]
                continue
            given = {name: values[need] for name, need in provider.needs}
            made = partial(provider.function, **given, **dict.fromkeys(provider.jobs, job))
            values[provider] = await _provide(provider, made, do, stack)
        return await call({name: values[need] for name, need in dependencies.arguments})


async def _provide(
    provider: Provider, function: Callable[..., Any], do: Do, stack: AsyncExitStack
) -> object:
    awaited = provider.kind in ("coroutine", "async generator")
    if provider.kind in ("value", "coroutine"):
        return await do(awaited, function)
    if awaited:
        spanning = asynccontextmanager(function)()
        value: object = await do(awaited, spanning.__aenter__)
        stack.push_async_exit(_leaving(do, awaited, spanning.__aexit__))
        return value
    blocking = contextmanager(function)()
    value = await do(awaited, blocking.__enter__)
    stack.push_async_exit(_leaving(do, awaited, blocking.__exit__))
    return value


def _leaving(
    do: Do, awaited: bool, leave: Callable[..., Any]
) -> Callable[
    [type[BaseException] | None, BaseException | None, TracebackType | None],
    Coroutine[Any, Any, bool],
]:
    async def left(
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        await do(awaited, leave, kind, error, trace)
        return False  # an exception goes on, also when the generator has caught it

    return left


def run_now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits, since ``do`` blocks instead; return what it returns."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise RuntimeError("a blocking call was left to wait")
