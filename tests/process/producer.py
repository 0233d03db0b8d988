"""The program of a producer: it enqueues a mix of jobs and writes down every answer.

``python -m tests.process.producer --ledger FOLDER --seed N --count N --threads N``. An answer that
did not come is asked for again under the same idempotency key where the wish has one.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import threading
from pathlib import Path

from jobpipe import Jobpipe
from jobpipe.errors import StoreUnavailable
from tests.process.ledger import Ledger
from tests.process.workload import application

TRIES = 20


def wish(jp: Jobpipe, ledger: Ledger, chance: random.Random, op: str) -> None:
    """Enqueue one job of the mix; with a key until the store has answered."""
    task, args = chance.choice(
        [
            ("quick", {}),
            ("quick", {}),
            ("nap", {"seconds": chance.uniform(0.0, 0.1)}),
            ("work", {"seconds": chance.uniform(0.0, 0.1)}),
            ("fail_once", {}),
            ("snooze_once", {}),
        ]
    )
    key = op if chance.random() < 0.5 else None
    delay = 0.2 if chance.random() < 0.1 else 0.0
    options = {"idempotency_key": key, "run_after": delay or None}
    for _ in range(TRIES if key else 1):
        if enqueue(jp, ledger, task, op, args, key=key, delay=delay, options=options):
            return


def enqueue(
    jp: Jobpipe,
    ledger: Ledger,
    task: str,
    op: str,
    args: dict[str, object],
    *,
    key: str | None,
    delay: float,
    options: dict[str, object],
) -> bool:
    """Enqueue once; tell whether the answer is known."""
    given = {name: value for name, value in options.items() if value is not None}
    ledger.write("invoke", op=op, key=key, delay=delay)
    try:
        job = jp.enqueue_named(task, {"op": op, **args}, **given)
    except StoreUnavailable as error:
        ledger.write("unknown" if error.outcome_unknown else "fail", op=op, detail=str(error))
        return False
    ledger.write("ok", op=op, job=job.id)
    return True


def produce(jp: Jobpipe, ledger: Ledger, seed: int, count: int, thread: int) -> None:
    chance = random.Random(f"{seed}/{thread}")
    for n in range(count):
        wish(jp, ledger, chance, f"{os.getpid()}/{thread}/{n}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    ledger = Ledger(given.ledger)
    jp = application(os.environ["JOBPIPE_URL"], ledger)
    threads = [
        threading.Thread(target=produce, args=(jp, ledger, given.seed, given.count, number))
        for number in range(given.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jp.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
