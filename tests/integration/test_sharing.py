"""How many commits and statements enqueues cost on PostgreSQL, as the server sees them."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import psycopg

from jobpipe import Jobpipe

CALLERS = 32
COMMITS = (
    "SELECT CAST(CAST(xmin AS text) AS bigint), count(*) FROM jobpipe.job GROUP BY 1 ORDER BY 1"
)


def commits(url: str) -> list[int]:
    """Return how many jobs each transaction has stored, in the order of transactions."""
    with closing(psycopg.connect(url)) as connection:
        return [count for _, count in connection.execute(COMMITS).fetchall()]


def test_callers_of_one_loop_share_a_commit(postgres_url: str) -> None:
    jp = Jobpipe(postgres_url)

    @jp.task
    async def note(number: int) -> None: ...

    async def main() -> list[int]:
        first = await note.aenqueue(0)  # this one also opens the store and notes the lane
        ids = [first.id]
        for _ in range(2):
            jobs = await asyncio.gather(*(note.aenqueue(number) for number in range(CALLERS)))
            ids += [job.id for job in jobs]
        await jp.aclose()
        return ids

    ids = asyncio.run(main())
    assert ids == sorted(ids)
    # The first caller of a crowd goes ahead, as nobody knows of the others; after that all wait.
    assert commits(postgres_url) == [1, 1, CALLERS - 1, CALLERS]


def test_a_job_a_thread_stores_is_one_statement_and_one_commit(
    postgres_url: str, monkeypatch: Any
) -> None:
    jp = Jobpipe(postgres_url)
    sent: list[bytes] = []

    @jp.task
    def note(number: int) -> None: ...

    note.enqueue(0)
    execute = psycopg.RawCursor.execute

    def counted(cursor: Any, query: bytes, *args: Any, **kwargs: Any) -> Any:
        if b"pg_notify" not in query:
            sent.append(query)
        return execute(cursor, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.RawCursor, "execute", counted)
    for number in range(3):
        note.enqueue(number)
    jp.enqueue_many(note.call(number) for number in range(100))
    jp.close()
    assert len(sent) == 4
    assert commits(postgres_url) == [1, 1, 1, 1, 100]
