"""The async pool hands out the connection that was opened first, whoever gave one back last."""

from __future__ import annotations

import asyncio
import itertools

from jobpipe.store.postgres.async_pool import AsyncPool


class Connection:
    """One that only has a name, and can be closed."""

    def __init__(self, name: int) -> None:
        self.name = name
        self._is_closed = False

    def is_closed(self) -> bool:
        return self._is_closed

    def is_in_transaction(self) -> bool:
        return False

    def terminate(self) -> None:
        self._is_closed = True

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg's own name
        self._is_closed = True


def test_the_oldest_idle_connection_is_handed_out_first() -> None:
    names = itertools.count()

    async def connect() -> Connection:
        return Connection(next(names))

    async def work() -> list[int]:
        pool = AsyncPool(connect, 3)
        for back in itertools.permutations(range(3)):
            taken = [await pool.take() for _ in range(3)]
            assert [held.connection.name for held in taken] == [0, 1, 2]
            for index in back:
                pool.give(taken[index])
        first, second = await pool.take(), await pool.take()
        pool.drop(first)
        pool.give(second)
        order = [await pool.take() for _ in range(3)]
        await pool.close()
        return [held.connection.name for held in order]

    assert asyncio.run(work()) == [1, 2, 3]


def test_what_was_being_opened_as_the_pool_closed_is_ended_when_it_comes_back() -> None:
    async def work() -> None:
        opening, may_open = asyncio.Event(), asyncio.Event()

        async def connect() -> Connection:
            opening.set()
            await may_open.wait()
            return Connection(0)

        pool = AsyncPool(connect, 1)
        taking = asyncio.create_task(pool.take())
        await opening.wait()
        await pool.close()
        may_open.set()
        held = await taking
        assert not held.connection.is_closed()
        pool.give(held)
        assert held.connection.is_closed()

    asyncio.run(work())


def test_who_tries_again_after_the_close_leaves_no_connection_behind() -> None:
    async def work() -> None:
        async def connect() -> Connection:
            return Connection(0)

        pool = AsyncPool(connect, 1)
        pool.drop(await pool.take())
        await pool.close()
        held = await pool.take()
        assert not held.connection.is_closed()
        pool.give(held)
        assert held.connection.is_closed()

    asyncio.run(work())
