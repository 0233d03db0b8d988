"""What the blocking pool keeps, and what it ends."""

from __future__ import annotations

from types import SimpleNamespace

from psycopg.pq import TransactionStatus

from jobpipe.store.postgres.pool import Pool


class Connection:
    """One that is at rest, and can be closed."""

    def __init__(self) -> None:
        self.pgconn = SimpleNamespace(transaction_status=TransactionStatus.IDLE)
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_what_was_being_opened_as_all_were_forgotten_is_ended_when_it_comes_back() -> None:
    def connect() -> Connection:
        pool.forget_idle()
        return Connection()

    pool = Pool(connect, 1)  # type: ignore[arg-type]
    held = pool.take()
    assert not held.connection.closed
    pool.give(held)
    assert held.connection.closed
