"""The application of every process of a run: tasks that write down each run in the ledger.

Every task takes ``op``, the name of the wish it serves, and returns the token of its attempt.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobpipe import Cancel, Fail, Jobpipe, Rate, Retry, Snooze, current_job
from tests.process.ledger import Gate, Ledger

STEP_SECONDS = 0.01
SLOTS, LINES, RATE, BURST = 2, 3, 20, 3
"""Jobs at a time, groups, starts a second, and how many of these at once."""
LIMIT_SECONDS = 60.0
"""A run that waits for a gate longer than this is taken for forgotten, and fails."""


def application(url: str, ledger: Ledger, *, without_new: bool = False) -> Jobpipe:
    """Return the application on a store, with its tasks (or an older one without ``new``)."""
    jp = Jobpipe(url)
    declare_short(jp, ledger)
    if not without_new:
        declare_new(jp, ledger)
    declare_gated(jp, ledger)
    declare_writers(jp, ledger)
    declare_limited(jp, ledger)
    return jp


def declare_short(jp: Jobpipe, ledger: Ledger) -> None:
    """Declare tasks that end by themselves."""

    @jp.task(name="quick")
    async def quick(op: str) -> int:
        with recorded(ledger, op) as token:
            return token

    @jp.task(name="nap")
    async def nap(op: str, seconds: float) -> int:
        with recorded(ledger, op) as token:
            await asyncio.sleep(seconds)
            return token

    @jp.task(name="work")
    def work(op: str, seconds: float) -> int:
        with recorded(ledger, op) as token:
            time.sleep(seconds)
            return token

    @jp.task(name="fail_once", retry_delays=(0.05,))
    async def fail_once(op: str) -> int:
        with recorded(ledger, op) as token:
            if current_job().attempt == 1:
                raise ValueError("the first attempt fails")
            return token

    @jp.task(name="snooze_once")
    async def snooze_once(op: str) -> int:
        with recorded(ledger, op) as token:
            if current_job().token == 1:
                raise Snooze(after=0.05)
            return token


def declare_new(jp: Jobpipe, ledger: Ledger) -> None:
    """Declare the task that older workers do not know."""

    @jp.task(name="new")
    async def new(op: str) -> int:
        with recorded(ledger, op) as token:
            return token


def declare_gated(jp: Jobpipe, ledger: Ledger) -> None:
    """Declare tasks that go on until the file ``gate`` exists."""

    @jp.task(name="wait")
    async def wait(op: str, gate: str) -> int:
        with recorded(ledger, op) as token:
            await opened(gate)
            return token

    @jp.task(name="hold")
    def hold(op: str, gate: str) -> int:
        with recorded(ledger, op) as token:
            deadline = time.monotonic() + LIMIT_SECONDS
            while not exists(gate):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nobody opened {gate}")
                time.sleep(STEP_SECONDS)
            return token

    @jp.task(name="wait_after_failure", retry_delays=(0.05,))
    async def wait_after_failure(op: str, gate: str) -> int:
        with recorded(ledger, op) as token:
            if current_job().attempt == 1:
                raise ValueError("the first attempt fails")
            await opened(gate)
            return token

    @jp.task(name="end_as_told", retry_delays=(0.05,), max_attempts=3)
    async def end_as_told(op: str, gate: str, how: str) -> int:
        """The first run ends as told, the later ones wait for the gate."""
        with recorded(ledger, op) as token:
            if current_job().token > 1:
                await opened(gate)
            elif how == "fail":
                raise ValueError("it was told to fail")
            elif how == "retry":
                raise Retry(after=0.05)
            elif how == "snooze":
                raise Snooze(after=0.05)
            elif how == "give_up":
                raise Fail("it was told to give up")
            elif how == "cancel":
                raise Cancel("it was told to cancel itself")
            return token


def declare_limited(jp: Jobpipe, ledger: Ledger) -> None:
    """Declare tasks whose jobs pass gates (see ``gates_of``)."""

    @jp.task(name="limited", concurrency=SLOTS)
    async def limited(op: str, seconds: float) -> int:
        with recorded(ledger, op) as token:
            await asyncio.sleep(seconds)
            return token

    @jp.task(name="in_order", group="line-{line}", retry_delays=(0.05,))
    async def in_order(op: str, seconds: float, line: int = 0, fails: bool = False) -> int:
        with recorded(ledger, op) as token:
            await asyncio.sleep(seconds)
            if fails and current_job().attempt == 1:
                raise ValueError("the first attempt fails")
            return token

    @jp.task(name="rated", rate=Rate(RATE, per=1, burst=BURST))
    async def rated(op: str) -> int:
        with recorded(ledger, op) as token:
            return token

    @jp.task(name="once", concurrency=1, on_loss="fail")
    async def once(op: str, gate: str) -> int:
        with recorded(ledger, op) as token:
            await opened(gate)
            return token

    @jp.task(name="doomed")
    async def doomed(op: str) -> int:
        with recorded(ledger, op):
            raise Fail("it always fails")


def gates_of(task: str, args: Mapping[str, Any]) -> tuple[Gate, ...]:
    """Return what the jobs of a task have to pass."""
    match task:
        case "limited":
            return (Gate("concurrency", task, n=SLOTS),)
        case "once":
            return (Gate("concurrency", task),)
        case "in_order":
            return (Gate("group", f"line-{args.get('line', 0)}"),)
        case "rated":
            return (Gate("rate", task, n=RATE, burst=BURST),)
    return ()


def declare_writers(jp: Jobpipe, ledger: Ledger) -> None:
    """Declare tasks that write a row into the table ``effect``, together with their success."""

    @jp.task(name="put")
    def put(op: str, seconds: float) -> None:
        with current_job().transaction() as connection, recorded(ledger, op) as token:
            connection.execute(f"INSERT INTO effect VALUES ('{op}', {token})")
            time.sleep(seconds)
            current_job().set_result(token)
        time.sleep(seconds)  # a kill finds it succeeded and still running

    @jp.task(name="aput")
    async def aput(op: str, seconds: float) -> None:
        async with current_job().transaction() as connection:
            with recorded(ledger, op) as token:
                written = connection.execute(f"INSERT INTO effect VALUES ('{op}', {token})")
                if inspect.isawaitable(written):
                    await written
                await asyncio.sleep(seconds)
                current_job().set_result(token)
        await asyncio.sleep(seconds)


def exists(gate: str) -> bool:
    """Tell whether somebody has opened the gate."""
    return Path(gate).exists()


async def opened(gate: str) -> None:
    """Wait until the file exists."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not exists(gate):  # noqa: ASYNC110 (the gate is opened by another process)
            await asyncio.sleep(STEP_SECONDS)


@contextmanager
def recorded(ledger: Ledger, op: str) -> Iterator[int]:
    """Write down the start and the end of this run; the end is on disk before the worker knows."""
    job = current_job()
    ledger.write("start", op=op, job=job.id, token=job.token, attempt=job.attempt)
    how = "interrupted"
    try:
        yield job.token
        how = "returned"
    except Exception:
        how = "raised"
        raise
    finally:
        ledger.write("end", op=op, job=job.id, token=job.token, how=how)


class EventsToLedger(logging.Handler):
    """Writes down what a worker logs."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(logging.INFO)
        self._ledger = ledger

    def emit(self, record: logging.LogRecord) -> None:
        """Append the event's name and sentence."""
        name = getattr(record, "jobpipe", {}).get("event", record.levelname)
        self._ledger.write("event", how=name, detail=record.getMessage())


def log_to(ledger: Ledger) -> None:
    """Log to standard error, and to the ledger."""
    logger = logging.getLogger("jobpipe")
    logger.setLevel(logging.INFO)
    logger.addHandler(EventsToLedger(ledger))
    logger.addHandler(logging.StreamHandler())
