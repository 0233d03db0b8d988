"""What the promoter knows of when something falls due, while looks are under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobpipe.delivery.hub import Hub
from jobpipe.runtime.promoter import Promoter
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops.claim import Moved
from jobpipe.store.ops.worker import Due
from jobpipe.store.port import Operation

SECOND = 1_000_000
NOTHING = Due(None, 0)


class Store:
    """Nothing is due in it; notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def run(self, operation: Operation[Any]) -> Any:
        self.asked.append(operation.name)
        return Moved([], []) if operation.name == "promote" else []


class Bench:
    """A promoter on that store."""

    def __init__(self) -> None:
        self.store = Store()
        self.looks: list[float] = []
        self.promoter = Promoter(
            self.store,  # type: ignore[arg-type]
            poll_seconds=1.0,
            telling=Telling(Hub()),
            look_in=self.looks.append,
        )

    def once(self) -> float | None:
        return asyncio.run(self.promoter.once())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_who_knows_of_nothing_asks_for_nothing(bench: Bench) -> None:
    assert bench.once() is None
    assert bench.store.asked == []


def test_what_a_look_has_told_is_moved_and_looked_at_again(bench: Bench) -> None:
    since = bench.promoter.ask()
    assert bench.promoter.answered(since, Due(-5, 100 * SECOND), 0.001)
    assert bench.once() is None
    assert bench.store.asked == ["promote", "expire"]
    assert bench.looks == [0.05]
    assert bench.once() is None
    assert bench.store.asked == ["promote", "expire"]


def test_what_is_known_stays_known_while_the_next_look_is_under_way(bench: Bench) -> None:
    bench.promoter.note(0)
    bench.promoter.ask()
    assert bench.once() is None
    assert bench.store.asked == ["promote", "expire"]


def test_the_answer_to_an_older_look_forgets_nothing_that_a_younger_one_told(bench: Bench) -> None:
    older, younger = bench.promoter.ask(), bench.promoter.ask()
    bench.promoter.answered(younger, Due(0, 100 * SECOND), 0.001)
    assert not bench.promoter.answered(older, NOTHING, 0.001)
    bench.once()
    assert bench.store.asked == ["promote", "expire"]


def test_a_hint_that_comes_while_a_look_is_under_way_is_kept(bench: Bench) -> None:
    since = bench.promoter.ask()
    assert bench.promoter.note(30 * SECOND)
    bench.promoter.answered(since, NOTHING, 0.001)
    left = bench.once()
    assert left is not None
    assert 20 < left <= 30


def test_what_the_next_look_does_not_tell_again_is_forgotten(bench: Bench) -> None:
    bench.promoter.note(30 * SECOND)
    since = bench.promoter.ask()
    bench.promoter.answered(since, NOTHING, 0.001)
    assert bench.once() is None
    assert bench.store.asked == []
