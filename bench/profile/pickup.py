"""One job every 50 ms for an idle worker: when each step of its way was over.

Whoever enqueues and the worker are two processes, each with its own notes; they have one clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from unittest.mock import patch

import asyncpg

from bench.profile.figures import ROUNDS, Figures, beside, note, served, tell
from jobpipe import Jobpipe
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.delivery.notify import NotifySender
from jobpipe.runtime.claimer import Claimer
from jobpipe.store.postgres.listen import Listener

PICKUPS, WARM = 100, 20
GAP_SECONDS = 0.05

Times = dict[str, int]


def profile() -> None:
    """Print how long after the call of ``aenqueue`` each step was over."""
    found: Figures = {}
    rest: Figures = {}
    with served() as server:
        for _ in range(ROUNDS):
            url = server.fresh()
            jobs = _picked_up(url)
            for step in jobs[-1]:
                note(found, step, median(job[step] for job in jobs if step in job) / 1000)
            asyncio.run(_rested(url, rest))
            server.drop(url)
    in_order = dict(sorted(found.items(), key=lambda step: median(step[1])))
    tell("From the call of aenqueue until", "us, median of the rounds' medians", in_order)
    tell("For comparison", "us", rest)


def _picked_up(url: str) -> list[Times]:
    """Return of each job how many nanoseconds after the call each step was over."""
    Jobpipe(url).counts()  # makes the schema
    sent, said = beside("bench.profile.pickup", url, lambda: asyncio.run(_paced(url)))
    started = json.loads(said)
    jobs = [(at_ns, {**times, **started[str(at_ns)]}) for at_ns, times in sent.items()]
    return [{step: ns - at_ns for step, ns in times.items()} for at_ns, times in jobs[WARM:]]


async def _paced(url: str) -> dict[int, Times]:
    sent: dict[int, Times] = {}
    times: Times = {}
    begin = NotifySender.__init__

    def begin_noting(sender: NotifySender, hub: Hub, send: Callable[[Hint], None]) -> None:
        def send_noting(hint: Hint) -> None:
            times["the sender's thread sends the NOTIFY"] = time.monotonic_ns()
            send(hint)
            times["the NOTIFY is committed"] = time.monotonic_ns()

        begin(sender, hub, send_noting)

    with patch.object(NotifySender, "__init__", begin_noting):
        jp = Jobpipe(url)
        task = jp.task(name="stamp")(_stamp)
        for _ in range(PICKUPS + WARM):
            times = {}
            at_ns = time.monotonic_ns()
            await task.aenqueue(at_ns)
            times["the INSERT is committed"] = time.monotonic_ns()
            await asyncio.sleep(GAP_SECONDS)
            sent[at_ns] = times
        await jp.aclose()
    return sent


async def _rested(url: str, found: Figures) -> None:
    """Note what one round trip takes after as long a rest, and after none."""
    connection = await asyncpg.connect(url)
    one = await connection.prepare("SELECT 1")
    for pause in (GAP_SECONDS, 0.0):
        taken = []
        for _ in range(PICKUPS):
            await asyncio.sleep(pause)
            began = time.perf_counter()
            await one.fetch()
            taken.append((time.perf_counter() - began) * 1e6)
        note(found, f"a bare SELECT 1 after {pause * 1000:.0f} ms of rest", median(taken))
    await connection.close()


_latest: Times = {}
_started: dict[int, Times] = {}


async def _stamp(at_ns: int) -> None:
    _started[at_ns] = {**_latest, "the function starts": time.monotonic_ns()}


async def _work(url: str) -> None:
    """Run jobs until the other process hangs up, then print the times of each."""
    hear, take = Listener._hear, Claimer._take

    def hear_noting(listener: Listener, *given: Any) -> None:
        _latest["the worker hears of it"] = time.monotonic_ns()
        hear(listener, *given)

    async def take_noting(claimer: Claimer, *given: Any) -> Any:
        began = time.monotonic_ns()
        jobs = await take(claimer, *given)
        if jobs:
            _latest["the claim is sent"] = began
            _latest["the claim is answered"] = time.monotonic_ns()
        return jobs

    jp = Jobpipe(url)
    jp.task(name="stamp")(_stamp)
    with patch.object(Listener, "_hear", hear_noting), patch.object(Claimer, "_take", take_noting):
        async with jp.arunning(concurrency=100):
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(_started))


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1]))
