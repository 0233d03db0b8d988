"""Flows in the transaction of a caller's connection: all of a flow, or nothing of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg
import pytest

from jobpipe import Flow
from jobpipe.model.flow import FlowState
from tests.conformance.app.flow_bench import Bench, called
from tests.conformance.app.site import Site
from tests.conformance.app.test_enqueue import connections, finish_on
from tests.conformance.loop import LoopThread


@pytest.fixture
def bench(site: Site) -> Bench:
    return Bench(site)


def new_flow(bench: Bench) -> Flow:
    flow = called(bench, bench.jp.flow)
    first = flow.add(bench.jp.batch([bench.step.call(name) for name in "abc"]))
    flow.add(bench.step.call("last"), after=[first])
    return flow


def stored_on(bench: Bench, loop: LoopThread, kind: str, end: str) -> Flow:
    flow, place = new_flow(bench), bench.site.place
    if kind in ("sqlite3", "psycopg"):
        connect: Any = sqlite3.connect if kind == "sqlite3" else psycopg.connect
        with closing(connect(place.direct)) as connection:
            flow.enqueue(on=connection)
            getattr(connection, end)()
        return flow
    loop.run(finish_on(kind, place.direct, lambda on: flow.aenqueue(on=on), end))
    return flow


def test_a_flow_stands_or_falls_with_the_callers_transaction(
    bench: Bench, loop_thread: LoopThread
) -> None:
    bench.site.do(bench.jp, "counts")
    for kind in connections(bench.site.place):
        before = bench.site.do(bench.jp, "flows")
        stored_on(bench, loop_thread, kind, "rollback")
        assert bench.site.do(bench.jp, "flows") == before
        assert bench.drain() == []
        flow = stored_on(bench, loop_thread, kind, "commit")
        assert sorted(bench.drain()) == ["a", "b", "c", "done", "last", "success"]
        assert bench.state(flow) is FlowState.SUCCEEDED
