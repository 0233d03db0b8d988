"""Serves until SIGINT or SIGTERM; then takes nothing new, and ends what was taken."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from .web import app, closing
from .work import jp, settings

DRAIN_SECONDS = 10
LOOK_SECONDS = 0.05
ENDED = {"succeeded", "failed", "cancelled"}


class Server(uvicorn.Server):
    """uvicorn without its own signals: while tasks end it still answers, with 503."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, closing.set)
    with socket.create_server((settings.host, settings.port)) as listener:
        server = Server(uvicorn.Config(app, log_level="warning"))
        async with jp.arunning():
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            host, port = listener.getsockname()[:2]
            print(f"{settings.workers} workers behind http://{host}:{port}", flush=True)
            await closing.wait()
            if settings.url.endswith(":memory:"):  # what waits elsewhere is there at the next start
                await ended()
        server.should_exit = True
        await serving
    print(f"{await left()} tasks are left")
    await jp.aclose()


async def ended() -> None:
    """Wait until every task has ended, but not for ever."""
    for _ in range(round(DRAIN_SECONDS / LOOK_SECONDS)):
        if not await left():
            return
        await asyncio.sleep(LOOK_SECONDS)


async def left() -> int:
    """Count the tasks that have not ended."""
    return sum(n for state, n in (await jp.acounts()).items() if state not in ENDED)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except OSError as error:
        sys.exit(f"nobody can listen at {settings.host}:{settings.port}: {error.strerror}")
