"""The program of a producer: it enqueues, and writes down every answer.

``python -m tests.process.producer PLAN --ledger FOLDER``. An answer that did not come is asked for
again under the same idempotency key where the wish has one.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from jobpipe import Jobpipe
from jobpipe.errors import StoreUnavailable
from tests.process.contents import Database
from tests.process.ledger import Ledger, What
from tests.process.workload import LINES, application, gates_of, log_to

TASKS = ("quick", "quick", "nap", "work", "fail_once", "snooze_once")
GATED = ("limited", "in_order", "rated")
WRITERS = ("put", "aput")
"""Tasks that write a row together with their success."""
MIX = (*TASKS, *TASKS, *GATED, "flow")
LASTING = ("nap", "work", "limited", "in_order", *WRITERS)
DOOMED = "doomed"
SHORT_SECONDS = 0.03
"""Of those for whom others wait."""
ONE_OF_EACH_KEY: list[tuple[str, dict[str, Any]]] = [
    ("limited", {}),
    ("rated", {}),
    *(("in_order", {"line": line}) for line in range(LINES)),
]
TRIES = 20
BETWEEN_LOOKS = 8
"""Jobs of a steady producer between two looks at how many wait."""
PAUSE_SECONDS = 0.1


def enqueue(
    jp: Jobpipe,
    ledger: Ledger,
    task: str,
    args: dict[str, Any],
    *,
    key: str | None = None,
    delay: float = 0.0,
) -> bool:
    """Enqueue once; tell whether the answer is known."""
    options: dict[str, Any] = {"idempotency_key": key} if key else {}
    if delay:
        options["run_after"] = timedelta(seconds=delay)
    gates = gates_of(task, args)
    ledger.write("invoke", op=args["op"], key=key, delay=delay, gates=gates)
    try:
        job = jp.enqueue_named(task, args, **options)
    except StoreUnavailable as error:
        answer: What = "unknown" if error.outcome_unknown else "fail"
        ledger.write(answer, op=args["op"], detail=str(error))
        return False
    ledger.write("ok", op=args["op"], job=job.id)
    return True


def compose(jp: Jobpipe, ledger: Ledger, op: str, last: str = "in_order") -> None:
    """Enqueue a flow: one job, two side by side after it, and whom to call when all have ended.

    ``last`` is the task of one of the two; with ``doomed`` the flow fails.
    """
    nodes = {"first": "quick", "left": "limited", "right": last}
    calls = dict.fromkeys(("on_success", "on_failure", "on_done"), "quick")
    args = {name: arguments(task, f"{op}/{name}") for name, task in (nodes | calls).items()}
    for name, task in (nodes | calls).items():
        before = [] if name == "first" else ["first"] if name in nodes else list(nodes)
        ledger.write(
            "invoke",
            op=args[name]["op"],
            gates=gates_of(task, args[name]),
            after=[f"{op}/{each}" for each in before],
            flow=op,
            role="node" if name in nodes else name,
        )
    success, failure, done = (jp.call_named(task, args[name]) for name, task in calls.items())
    flow = jp.flow(on_success=success, on_failure=failure, on_done=done)
    first = flow.add(jp.call_named("quick", args["first"]))
    for name in ("left", "right"):
        flow.add(jp.call_named(nodes[name], args[name]), after=[first])
    answer: What = "ok"
    try:
        flow.enqueue()
    except StoreUnavailable as error:
        answer = "unknown" if error.outcome_unknown else "fail"
    for each in args.values():
        ledger.write(answer, op=each["op"])


def arguments(task: str, op: str, seconds: float = 0.0) -> dict[str, Any]:
    """Return what a task of the mix is to be called with."""
    return {"op": op, "seconds": seconds} if task in LASTING else {"op": op}


def mix(jp: Jobpipe, ledger: Ledger, given: argparse.Namespace) -> None:
    """Enqueue ``--count`` jobs of all kinds from each of ``--threads`` threads."""

    def wishes(number: int) -> None:
        chance = random.Random(f"{given.seed}/{number}")
        for n in range(given.count):
            wish(jp, ledger, chance, f"{os.getpid()}/{number}/{n}", tasks=MIX)

    together(given.threads, wishes)


def wish(
    jp: Jobpipe,
    ledger: Ledger,
    chance: random.Random,
    op: str,
    *,
    tasks: Sequence[str] = TASKS,
    longest: float = 0.1,
) -> None:
    """Enqueue one job of the mix; with a key until the store has answered."""
    task = chance.choice(tasks)
    if task == "flow":
        compose(jp, ledger, op, chance.choice(("in_order", DOOMED)))
        return
    most = longest if task in ("nap", "work") else min(longest, SHORT_SECONDS)
    args = arguments(task, op, chance.uniform(0.0, most))
    if task == "in_order":
        args |= {"line": chance.randrange(LINES), "fails": chance.random() < 0.2}
    key = op if chance.random() < 0.5 else None
    delay = 0.2 if chance.random() < 0.1 else 0.0
    for _ in range(TRIES if key else 1):
        if enqueue(jp, ledger, task, args, key=key, delay=delay):
            return


def crowd(jp: Jobpipe, ledger: Ledger, given: argparse.Namespace) -> None:
    """Enqueue from each of ``--threads`` threads for ``--seconds``, and work at the same time."""

    def keep_wishing(number: int) -> None:
        chance = random.Random(f"{given.seed}/{number}")
        deadline = time.monotonic() + given.seconds
        for n in count():
            if time.monotonic() > deadline:
                return
            wish(jp, ledger, chance, f"{os.getpid()}/{number}/{n}")

    with jp.running(concurrency=4):
        together(given.threads, keep_wishing)


def steady(jp: Jobpipe, ledger: Ledger, given: argparse.Namespace) -> None:
    """Keep about ``--backlog`` jobs waiting, from each of ``--threads`` threads, until told."""
    database = Database(jp.settings.url)

    def keep_filled(number: int) -> None:
        chance = random.Random(f"{given.seed}/{number}")
        for n in count():
            if given.until.exists():
                return
            op = f"{os.getpid()}/{number}/{n}"
            wish(jp, ledger, chance, op, tasks=MIX + WRITERS, longest=given.longest)
            if n % BETWEEN_LOOKS == 0:
                wait_for_room(database, given)

    together(given.threads, keep_filled)


def wait_for_room(database: Database, given: argparse.Namespace) -> None:
    """Wait until fewer jobs are left; while the store is away nobody can tell."""
    while not given.until.exists():
        try:
            if database.unfinished() < given.backlog:
                return
        except (sqlite3.Error, psycopg.Error):
            pass
        time.sleep(PAUSE_SECONDS)


def together(number: int, work: Callable[[int], None]) -> None:
    """Run the work in so many threads, and wait for their ends; what one raises is raised."""
    with ThreadPoolExecutor(number) as threads:
        list(threads.map(work, range(number)))


def die_after_answer(jp: Jobpipe, ledger: Ledger, given: argparse.Namespace) -> None:
    """Enqueue one job, and be killed as soon as the answer is written down."""
    enqueue(jp, ledger, "quick", {"op": "answered"})
    os.kill(os.getpid(), signal.SIGKILL)


def roll_back(jp: Jobpipe, ledger: Ledger, given: argparse.Namespace) -> None:
    """Enqueue one job in a transaction of our own that is rolled back, and one beside it."""
    enqueue(jp, ledger, "quick", {"op": "kept"})
    connection = sqlite3.connect(jp.settings.url.removeprefix("sqlite:///"))
    connection.execute("CREATE TABLE mine (id INTEGER)")
    ledger.write("invoke", op="rolled back")
    with connection:
        connection.execute("DELETE FROM mine")
        jp.enqueue_named("quick", {"op": "rolled back"}, on=connection)
        connection.rollback()
    ledger.write("fail", op="rolled back")
    connection.close()


def ask_twice(jp: Jobpipe, ledger: Ledger, given: argparse.Namespace) -> None:
    """Enqueue one wish twice under one key, as after an answer that was lost; and one flow."""
    for _ in range(2):
        enqueue(jp, ledger, "quick", {"op": "keyed"}, key="keyed")
    compose(jp, ledger, "flow")


def steer(jp: Jobpipe, ledger: Ledger, given: argparse.Namespace) -> None:
    """Cancel a job that waits, and then run it after all."""
    enqueue(jp, ledger, "quick", {"op": "steered"})
    job = jp.jobs(limit=1)[0]
    jp.cancel(job.id)
    jp.rerun(job.id)


PLANS: dict[str, Callable[[Jobpipe, Ledger, argparse.Namespace], None]] = {
    "mix": mix,
    "crowd": crowd,
    "steady": steady,
    "die_after_answer": die_after_answer,
    "roll_back": roll_back,
    "ask_twice": ask_twice,
    "steer": steer,
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--longest", type=float, default=0.1)
    parser.add_argument("--backlog", type=int, default=50)
    parser.add_argument("--until", type=Path)
    parser.add_argument("--plant")
    given = parser.parse_args()
    ledger = Ledger(given.ledger)
    log_to(ledger)
    if given.plant:
        import_module(f"tests.process.planted.{given.plant}").plant()
    jp = application(os.environ["JOBPIPE_URL"], ledger)
    PLANS[given.plan](jp, ledger, given)
    jp.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
