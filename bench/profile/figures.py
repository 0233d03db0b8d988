"""What all profiles share: a server that counts its statements, and tables of medians."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, TypeVar

import psycopg

from bench.harness.servers import Postgres
from jobpipe import Jobpipe
from jobpipe.tasks.task import Defaults

ROUNDS = 5
CALLS = 300
"""Calls that one figure of a short step is made of."""

DEFAULTS = Defaults()
"""What the application decides where neither the call nor the task does."""

STATEMENTS = r"""
SELECT substring(query from 'WITH (\w+)'), calls, rows, total_exec_time * 1000
FROM pg_stat_statements JOIN pg_database AS d ON d.oid = dbid
WHERE d.datname = %s AND query ~ '^WITH (picked|ended|stored)'
"""
NAMES = {"picked": "claim", "ended": "finish", "stored": "enqueue_alike"}

Figures = dict[str, list[float]]
T = TypeVar("T")


@contextmanager
def served() -> Iterator[Postgres]:
    """Run a server that counts what each statement takes."""
    with Postgres({"shared_preload_libraries": "pg_stat_statements"}) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        yield server


def beside(module: str, url: str, act: Callable[[], T]) -> tuple[T, str]:
    """Act while a module of ours works on a store as a program; return also what it printed last.

    It prints a line when it is ready, and ends when nobody writes to it any more.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        done = act()
        return done, program.communicate()[0].splitlines()[-1]


def statements(server: Postgres, url: str) -> dict[str, tuple[float, float]]:
    """Return of each large statement of a database the rows a call, and the microseconds a row."""
    with psycopg.connect(server.url()) as connection:
        rows = connection.execute(STATEMENTS, [url.rpartition("/")[2]]).fetchall()
    return {NAMES[mark]: (count / calls, micros / count) for mark, calls, count, micros in rows}


def note(found: Figures, name: str, value: float) -> None:
    """Keep one figure of one round."""
    found.setdefault(name, []).append(value)


def each(call: Callable[[], object]) -> float:
    """Return what one of many calls takes, in microseconds."""
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


def tell(title: str, unit: str, found: Mapping[str, Sequence[float]]) -> None:
    """Print a table: each figure's median with its range."""
    print(f"\n{title}\n\n| what | {unit} |\n| --- | ---: |")
    for name, values in found.items():
        spread = f" ({min(values):,.4g}-{max(values):,.4g})" if len(values) > 1 else ""
        print(f"| {name} | {median(values):,.4g}{spread} |", flush=True)


def application(url: str) -> tuple[Jobpipe, Any]:
    """Return an application and a task of it that does nothing."""
    jp = Jobpipe(url)

    async def noop(n: int) -> None: ...

    return jp, jp.task(noop)
