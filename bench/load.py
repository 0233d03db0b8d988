"""Enqueues jobs over HTTP from many connections at once, and tells how that went.

    python bench/load.py --n 5000 --c 50 --check --task app.add --args '{"a": 1, "b": 2}'

The standard library alone, so any Python runs it beside any service. With ``--check`` it waits
until every job has ended, and exits with 1 when one has not, or was not stored.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

FINAL = {"succeeded", "failed", "cancelled"}
PAGE = 1_000
LOOK_SECONDS = 0.5
REQUEST_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
"""So long nothing may end before a check gives up."""


@dataclass
class Tally:
    """What came of the requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.statuses += other.statuses
        self.seconds += other.seconds
        self.ids += other.ids


class Client:
    """One connection, opened again when it breaks."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname or "", parts.port, timeout=REQUEST_SECONDS)
        self._root = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        """Return the status and the JSON of an answer; raises OSError, HTTPException."""
        try:
            self._connection.request(method, self._root + path, body, self._headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Enqueue, tell, and with ``--check`` wait for the ends; returns the exit code."""
    given = _parse(arguments)
    body = json.dumps({"task": given.task, "args": json.loads(given.args)})
    began = time.perf_counter()
    tally = _enqueue(given, body)
    took = time.perf_counter() - began
    _tell(tally, took)
    stored = len(tally.ids)
    if not given.check:
        return 0 if stored == given.n else 1
    states = _wait(Client(given.url, given.token), set(tally.ids))
    print("final states  ", ", ".join(f"{state} {n:,}" for state, n in sorted(states.items())))
    unfinished = given.n - sum(n for state, n in states.items() if state in FINAL)
    if unfinished:
        print(f"{unfinished:,} of {given.n:,} jobs are unfinished", file=sys.stderr)
    return 1 if unfinished else 0


def _enqueue(given: argparse.Namespace, body: str) -> Tally:
    """Send the requests over ``c`` connections; each takes the next one that is left."""
    left = iter(range(given.n))
    gate = threading.Lock()
    tallies = [Tally() for _ in range(given.c)]

    def send(tally: Tally) -> None:
        client = Client(given.url, given.token)
        while True:
            with gate:
                if next(left, None) is None:
                    return
            began = time.perf_counter()
            try:
                status, answer = client.ask("POST", "/api/v1/jobs", body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                tally.statuses[type(error).__name__] += 1
                continue
            tally.seconds.append(time.perf_counter() - began)
            tally.statuses[str(status)] += 1
            if status in (200, 201):
                tally.ids.append(answer["id"])

    threads = [threading.Thread(target=send, args=[tally]) for tally in tallies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def _tell(tally: Tally, took: float) -> None:
    answered = len(tally.seconds)
    print(f"requests       {sum(tally.statuses.values()):,} in {took:.2f} s")
    print(f"requests/s     {answered / took:,.0f}")
    print(
        "status codes  ", ", ".join(f"{code} {n:,}" for code, n in sorted(tally.statuses.items()))
    )
    if answered:
        ordered = sorted(tally.seconds)
        shares = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "max": 1.0}
        shown = [
            f"{name} {ordered[min(answered - 1, int(share * answered))] * 1000:.1f} ms"
            for name, share in shares.items()
        ]
        print("latency       ", ", ".join(shown))


def _wait(client: Client, ids: set[int]) -> Counter[str]:
    """Return how many of the jobs stand in each state, once all have ended or nothing moves."""
    ended, last_move = -1, time.monotonic()
    while True:
        states = _states(client, ids)
        now_ended = sum(n for state, n in states.items() if state in FINAL)
        if now_ended != ended:
            ended, last_move = now_ended, time.monotonic()
        if ended == len(ids) or time.monotonic() - last_move > PATIENCE_SECONDS:
            return states
        time.sleep(LOOK_SECONDS)


def _states(client: Client, ids: set[int]) -> Counter[str]:
    """Read the list of jobs, newest first, down to the first of ours."""
    states: Counter[str] = Counter()
    path, oldest = f"/api/v1/jobs?limit={PAGE}", min(ids, default=0)
    cursor: str | None = ""
    while cursor is not None and ids:
        status, page = client.ask("GET", path + (f"&cursor={cursor}" if cursor else ""))
        if status != 200:
            sys.exit(f"the list of jobs cannot be read: {status} {page}")
        states.update(item["state"] for item in page["items"] if item["id"] in ids)
        cursor = page["next_cursor"]
        if page["items"] and page["items"][-1]["id"] < oldest:
            break
    return states


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/load.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, default=5_000, help="how many jobs (5000)")
    parser.add_argument("--c", type=int, default=50, help="how many connections (50)")
    parser.add_argument("--check", action="store_true", help="wait until every job has ended")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the service is")
    parser.add_argument("--task", default="quickstart.add", help="the task of the jobs")
    parser.add_argument("--args", default="[1, 2]", help="its arguments, as JSON")
    given = parser.parse_args(arguments)
    given.token = os.environ.get("JOBPIPE_TOKEN")
    if given.n < 1 or given.c < 1:
        parser.error("--n and --c are at least 1")
    return given


if __name__ == "__main__":
    sys.exit(main())
