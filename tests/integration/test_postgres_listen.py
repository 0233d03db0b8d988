"""The listener hears notifications, and goes on hearing them after every kind of cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from jobpipe.errors import StoreUnavailable
from jobpipe.store.postgres.listen import Listener
from tests.servers.postgres import PostgresServer

CHANNEL = 'Job "pipe"'


class Ears:
    """What a listener heard, to be awaited item by item."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str | None] = asyncio.Queue()
        self.troubles: asyncio.Queue[Exception] = asyncio.Queue()

    async def next(self) -> str | None:
        return await asyncio.wait_for(self.heard.get(), 30)


@contextlib.asynccontextmanager
async def listening(url: str, **options: Any) -> AsyncIterator[Ears]:
    ears = Ears()
    listener = Listener(
        url, CHANNEL, ears.heard.put_nowait, troubled=ears.troubles.put_nowait, **options
    )
    await listener.start()
    await listener.start()
    try:
        yield ears
    finally:
        await listener.stop()
        await listener.stop()


async def notify(url: str, payload: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
    await connection.close()


def test_payloads_arrive_after_the_first_look(postgres_url: str) -> None:
    async def work() -> None:
        async with listening(postgres_url, check_seconds=0.01) as ears:
            assert await ears.next() is None
            for payload in ("one", ""):
                await notify(postgres_url, payload)
                assert await ears.next() == payload
            assert ears.troubles.empty()

    asyncio.run(work())


def test_a_cut_is_followed_by_a_new_look(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    async def work() -> None:
        async with listening(postgres_url) as ears:
            for payload in ("one", "two"):
                assert await ears.next() is None
                await notify(postgres_url, payload)
                assert await ears.next() == payload
                postgres_server.terminate_backends(postgres_url)
            assert await ears.next() is None
            assert ears.troubles.qsize() == 2

    asyncio.run(work())


def test_a_crash_of_the_server_is_survived(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    async def work() -> None:
        async with listening(postgres_url) as ears:
            assert await ears.next() is None
            await asyncio.to_thread(postgres_server.stop, "immediate")
            await asyncio.to_thread(postgres_server.start)
            assert await ears.next() is None

    asyncio.run(work())


class Wire:
    """A TCP relay that can go silent without hanging up."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._clear = asyncio.Event()
        self._clear.set()
        self._ends: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def go_silent(self) -> None:
        """Swallow what the connections made so far send; later ones work."""
        self._clear.clear()
        self._clear = asyncio.Event()
        self._clear.set()

    async def close(self) -> None:
        self._server.close()
        for end in self._ends:
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clear = self._clear
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._ends += [writer, far_writer]
        await asyncio.gather(
            self._pass_on(reader, far_writer, clear), self._pass_on(far_reader, writer, clear)
        )

    @staticmethod
    async def _pass_on(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clear: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if clear.is_set():
                    writer.write(data)


def test_silence_counts_as_death(postgres_url: str) -> None:
    async def work(with_port: Callable[[int], str]) -> None:
        wire = Wire(urlsplit(postgres_url).port or 0)
        port = await wire.start()
        async with listening(with_port(port), check_seconds=0.05, answer_seconds=0.2) as ears:
            assert await ears.next() is None
            wire.go_silent()
            assert await ears.next() is None
            await notify(postgres_url, "heard")
            assert await ears.next() == "heard"
            assert isinstance(ears.troubles.get_nowait(), TimeoutError)
        await wire.close()

    def with_port(port: int) -> str:
        parts = urlsplit(postgres_url)
        return parts._replace(netloc=f"postgres@127.0.0.1:{port}").geturl()

    run: Coroutine[Any, Any, None] = work(with_port)
    asyncio.run(run)


def test_a_server_that_is_not_there_is_tried_again() -> None:
    async def work() -> None:
        async with listening("postgresql://u:s3cret@127.0.0.1:1/x") as ears:
            for _ in range(2):
                trouble = await asyncio.wait_for(ears.troubles.get(), 30)
                assert isinstance(trouble, StoreUnavailable)
                assert "s3cret" not in str(trouble)

    asyncio.run(work())
