"""``python -m bench.flow [CASE...] [--postgresql] [--seconds N] [--rounds N] [--out FILE]``.

Each round of a case has a store of its own: a new SQLite file, or a new database on a PostgreSQL
that is started for the run. Each case prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import AbstractContextManager
from pathlib import Path

from bench.flow import asked, floor, limits
from bench.flow.case import Case, Figures, Ground, Size, line
from bench.harness import machine
from bench.harness.servers import Files, Postgres, Server
from jobpipe import Jobpipe

ROOT = Path(__file__).parents[2]
CASES = {**limits.CASES, **floor.CASES, **asked.CASES}


def main() -> None:
    given = _given()
    size = Size(given.seconds, given.keys, given.waiting)
    kind: AbstractContextManager[Server] = Postgres() if given.postgresql else Files()
    about = {
        "store": "postgresql" if given.postgresql else "sqlite",
        "commit": machine.commit(ROOT),
    }
    with kind as server:
        for name in given.cases or CASES:
            case = CASES[name]
            if case.needs_server and not given.postgresql:
                continue
            rounds = [_round(case, server, size) for _ in range(given.rounds)]
            text = json.dumps({"case": name, **about, **line(case, rounds)})
            print(text, flush=True)
            if given.out is not None:
                with given.out.open("a", encoding="utf-8") as out:
                    out.write(f"{text}\n")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.flow", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    parser.add_argument("--seconds", type=float, default=60.0, help="of slots, rate and outage")
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--waiting", type=int, default=1_000_000, help="jobs in explain's line")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a file to which the lines are added")
    return parser.parse_args()


def _round(case: Case, server: Server, size: Size) -> Figures:
    url = server.fresh()
    try:
        return asyncio.run(_measured(case, Ground(Jobpipe(url), url, size, server.pids())))
    finally:
        server.drop(url)


async def _measured(case: Case, ground: Ground) -> Figures:
    try:
        return await case.measure(ground)
    finally:
        await ground.jp.aclose()


if __name__ == "__main__":
    main()
