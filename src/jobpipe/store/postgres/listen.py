"""Hears PostgreSQL's notifications, for as long as it is started, through every cut.

Notifications are hints: one may be lost while the connection is away, so each new connection
says "look now" (None). A connection that does not answer a regular question in time is dead,
however alive its socket looks.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg

from jobpipe.errors import JobpipeError
from jobpipe.store.postgres.address import Address
from jobpipe.store.postgres.async_driver import REFUSALS, connect
from jobpipe.store.postgres.async_pool import hang_up

CHECK_SECONDS = 5.0
"""Between two questions whether the server is still there, and longest wait for the answer."""
QUESTION = "SHOW server_version_num"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two attempts to connect."""


def keep_quiet(_error: Exception) -> None:
    """Tell nobody about trouble with the connection."""


class Listener:
    """One connection of its own that LISTENs on a channel.

    ``heard`` is called on the loop with each payload, and with None after each (re)connection;
    ``troubled`` with each reason for which the connection was lost or could not be opened. Behind
    a transaction-mode pooler the URL must lead to the server itself.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        heard: Callable[[str | None], None],
        *,
        troubled: Callable[[Exception], None] = keep_quiet,
        check_seconds: float = CHECK_SECONDS,
        answer_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._address = Address(url)
        self._channel = channel
        self._heard = heard
        self._troubled = troubled
        self._check_seconds = check_seconds
        self._answer_seconds = answer_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; does not wait for the server."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen_for_ever(), name="jobpipe-listener")

    async def stop(self) -> None:
        """Hang up; stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _listen_for_ever(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await connect(self._address, 0)
            except JobpipeError as error:
                self._troubled(error)
            else:
                pause = FIRST_PAUSE
                try:
                    await self._listen(connection)
                except REFUSALS as error:
                    self._troubled(error)
                finally:
                    hang_up(connection)
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _listen(self, connection: Any) -> None:
        """Pass on what is heard until the connection is gone or silent."""
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _connection: gone.set())
        await connection.add_listener(self._channel, self._hear)
        self._heard(None)
        while True:
            try:
                async with asyncio.timeout(self._check_seconds):
                    await gone.wait()
            except TimeoutError:
                await connection.execute(QUESTION, timeout=self._answer_seconds)
            else:
                raise asyncpg.ConnectionDoesNotExistError("the server ended the connection")

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._heard(str(payload))
