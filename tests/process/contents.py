"""What a store holds at the end of a run, read with plain SQL and none of Jobpipe's code."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.rows import dict_row

FINAL = ("succeeded", "failed", "cancelled")


class JobRow(Struct, frozen=True, kw_only=True):
    """A job, as far as the checker judges it."""

    id: int
    op: str
    task: str = ""
    queue: str = "default"
    priority: int = 0
    state: str
    reason: str | None = None
    attempt: int = 1
    token: int = 1
    losses: int = 0
    max_losses: int = 3
    reruns: int = 0
    result_token: int | None = None
    """The token of the attempt whose result stands in the row (tasks return their token)."""
    key: str | None = None


class AttemptRow(Struct, frozen=True, kw_only=True):
    """A recorded attempt."""

    job: int
    token: int
    number: int = 1
    outcome: str
    ended: int | None = None
    """Nanoseconds of the ledger's clock, if the store's clock was right."""


class Contents(Struct, frozen=True, kw_only=True):
    """Everything that the checker compares with the ledger."""

    jobs: list[JobRow]
    attempts: list[AttemptRow] = []
    tally: Mapping[tuple[str, str], int] = {}


class Database:
    """Plain SQL on the store of a run."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self._prefix = "jobpipe_" if self.is_sqlite else "jobpipe."

    def ask(self, question: str) -> list[dict[str, Any]]:
        """Run a query with ``{p}`` before each table's name."""
        text = question.replace("{p}", self._prefix)
        if self.is_sqlite:
            path = self.url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, timeout=30)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(text).fetchall()]
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as server:
            return server.execute(text).fetchall()

    def do(self, statement: str) -> None:
        """Run a statement that has no rows."""
        if self.is_sqlite:
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as file, file:
                file.execute(statement)
            return
        with psycopg.connect(self.url, autocommit=True) as server:
            server.execute(statement.encode())

    def unfinished(self) -> int:
        """Count the jobs that have not come to an end."""
        return int(
            self.ask(
                "SELECT count(*) AS n FROM {p}job"
                " WHERE state NOT IN ('succeeded', 'failed', 'cancelled')"
            )[0]["n"]
        )

    def contents(self) -> Contents:
        """Read all that the checker looks at."""
        ahead = time.time_ns() - time.monotonic_ns()
        jobs = [_job(row) for row in self.ask("SELECT * FROM {p}job ORDER BY id")]
        attempts = [
            AttemptRow(
                job=row["job_id"],
                token=row["token"],
                number=row["number"],
                outcome=row["outcome"],
                ended=None if (at := row["finished_at"]) is None else at * 1_000 - ahead,
            )
            for row in self.ask("SELECT * FROM {p}attempt ORDER BY job_id, token")
        ]
        tally = self.ask("SELECT queue, state, sum(n) AS n FROM {p}tally GROUP BY queue, state")
        return Contents(
            jobs=jobs,
            attempts=attempts,
            tally={(row["queue"], row["state"]): int(row["n"]) for row in tally},
        )


def _job(row: dict[str, Any]) -> JobRow:
    args, result = _document(row["args"]), _document(row["result"])
    return JobRow(
        id=row["id"],
        op=args["op"],
        task=row["task"],
        queue=row["queue"],
        priority=row["priority"],
        state=row["state"],
        reason=row["reason"],
        attempt=row["attempt"],
        token=row["token"],
        losses=row["losses"],
        max_losses=row["max_losses"],
        reruns=row["reruns"],
        result_token=result,
        key=row["idempotency_key"],
    )


def _document(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
