"""The log of events: ids, going on after a cut, resets, slow readers, filters, silence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobpipe.runtime import events
from jobpipe.runtime.events import EVENTS_MAX, EVERYTHING, SLOW_MAX, EventLog, Subscription, Wanted


def job(id: int, state: str = "queued", queue: str = "a") -> tuple[str, dict[str, Any]]:
    return "job", {"id": id, "state": state, "queue": queue}


def counts(*queues: str, complete: bool = True) -> tuple[str, dict[str, Any]]:
    changes = [{"queue": queue, "state": "queued", "jobs": 60} for queue in queues]
    return "counts", {"changes": changes, "complete": complete}


def on_loop(test: Callable[[EventLog], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(test(EventLog(lambda: None)), 10)

    asyncio.run(run())


async def ids(reader: Subscription) -> list[int]:
    """The jobs that a reader hears of next; 0 stands for any other event."""
    return [event.data.get("id", 0) for event in await reader.batch()]


def test_a_reader_hears_what_comes_from_now_on() -> None:
    async def test(log: EventLog) -> None:
        log.add([job(1)])
        reader = log.subscribe(None, EVERYTHING)
        waiting = asyncio.ensure_future(reader.batch())
        await asyncio.sleep(0)
        log.add([job(2), job(3, "running")])
        one, other = await waiting
        assert (one.kind, one.data["id"], other.data["state"]) == ("job", 2, "running")
        assert one.text == '{"id":2,"state":"queued","queue":"a"}'
        assert [one.id.split("-")[1], other.id.split("-")[1]] == ["2", "3"]
        assert reader.id == other.id

    on_loop(test)


def test_who_was_cut_off_goes_on_with_no_gap_and_no_doubling() -> None:
    async def test(log: EventLog) -> None:
        reader = log.subscribe(None, EVERYTHING)
        log.add([job(1)])
        (last,) = await reader.batch()
        reader.close()
        log.add([job(2), job(3)])
        assert await ids(log.subscribe(last.id, EVERYTHING)) == [2, 3]
        again = log.subscribe(log.id_of(3), EVERYTHING)
        log.add([job(4)])
        assert await ids(again) == [4]

    on_loop(test)


@pytest.mark.parametrize(
    "id", ["", "7", "other-1", "{boot}-9", "{boot}--1", "{boot}-x", "{boot}-²"]
)
def test_an_id_that_is_not_known_resets(id: str) -> None:
    async def test(log: EventLog) -> None:
        log.add([job(1)])
        boot = log.id_of(0).partition("-")[0]
        reader = log.subscribe(id.format(boot=boot), EVERYTHING)
        (event,) = await reader.batch()
        assert (event.kind, event.id, event.data) == ("reset", log.id_of(1), {})
        log.add([job(2)])
        assert await ids(reader) == [2]

    on_loop(test)


def test_the_log_reaches_back_ten_thousand_events() -> None:
    async def test(log: EventLog) -> None:
        for n in range(1, EVENTS_MAX + 2):
            log.add([job(n)])
        heard = list[int]()
        reader = log.subscribe(log.id_of(1), EVERYTHING)
        while len(heard) < EVENTS_MAX:
            heard += await ids(reader)
        assert heard == list(range(2, EVENTS_MAX + 2))
        (event,) = await log.subscribe(log.id_of(0), EVERYTHING).batch()
        assert event.kind == "reset"

    on_loop(test)


def test_a_slow_reader_is_reset_and_goes_on_from_now() -> None:
    async def test(log: EventLog) -> None:
        slow, quick = log.subscribe(None, EVERYTHING), log.subscribe(None, EVERYTHING)
        for n in range(1, SLOW_MAX + 1):
            log.add([job(n)])
        assert len(await ids(quick)) == 500
        log.add([job(SLOW_MAX + 1)])
        assert await ids(quick) == list(range(501, 1_001))
        (event,) = await slow.batch()
        assert event.kind == "reset"
        log.add([job(7)])
        assert await ids(slow) == [7]
        assert await ids(quick) == [1_001, 7]

    on_loop(test)


def test_what_nobody_heard_of_resets() -> None:
    async def test(log: EventLog) -> None:
        log.add([job(1)])
        id = log.id_of(1)
        log.forget()
        (event,) = await log.subscribe(id, EVERYTHING).batch()
        assert event.kind == "reset"

    on_loop(test)


@pytest.mark.parametrize(
    "wanted,expected",
    [
        (EVERYTHING, [1, 2, 0, 0, 0]),
        (Wanted(frozenset({"job"})), [1, 2, 0, 0]),
        (Wanted(frozenset({"counts"})), [0, 0]),
        (Wanted(frozenset({"queue"})), [0]),
        (Wanted(queue="b"), [2, 0, 0]),
        (Wanted(queue="c"), [0]),
        (Wanted(job=1), [1, 0, 0]),
    ],
)
def test_a_reader_hears_what_it_wants(wanted: Wanted, expected: list[int]) -> None:
    async def test(log: EventLog) -> None:
        reader = log.subscribe(None, wanted)
        log.add([job(1), job(2, queue="b"), ("queue", {"queue": "b", "paused": True})])
        log.add([counts("a"), counts(complete=False)])
        assert await ids(reader) == expected

    on_loop(test)


def test_nobody_is_woken_for_what_he_does_not_want() -> None:
    async def test(log: EventLog) -> None:
        reader = log.subscribe(None, Wanted(job=5_000))
        waiting = asyncio.ensure_future(ids(reader))
        await asyncio.sleep(0)
        for n in range(SLOW_MAX + 10):
            log.add([job(n)])
        await asyncio.sleep(0)
        assert not waiting.done()
        log.add([job(5_000)])
        assert await waiting == [5_000]

    on_loop(test)


def test_silence_is_told_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SILENCE_SECONDS", 1)

    async def test(log: EventLog) -> None:
        reader = log.subscribe(None, EVERYTHING)
        assert await reader.batch() == []
        assert reader.is_open

    on_loop(test)


def test_a_reader_that_is_closed_hears_no_more() -> None:
    async def test(log: EventLog) -> None:
        log.begun.set()
        async with log.subscribe(None, EVERYTHING) as reader:
            waiting = asyncio.ensure_future(reader.batch())
            await asyncio.sleep(0)
            log.close()
            assert await waiting == []
            assert [event async for event in reader] == []
        assert not log.has_readers
        assert not log.waiting

    on_loop(test)


def test_the_last_reader_who_leaves_is_told_of() -> None:
    async def run() -> None:
        left = list[str]()
        log = EventLog(lambda: left.append("all"))
        one, other = log.subscribe(None, EVERYTHING), log.subscribe(None, EVERYTHING)
        one.close()
        one.close()
        assert left == []
        other.close()
        assert left == ["all"]

    asyncio.run(run())


def test_who_may_not_go_on_is_closed_within_a_second() -> None:
    async def test(log: EventLog) -> None:
        one, other = log.subscribe(None, EVERYTHING), log.subscribe(None, EVERYTHING)
        allowed = {"one", "other"}
        one.keep_while(lambda: "one" in allowed)
        other.keep_while(lambda: "other" in allowed)
        waiting = asyncio.ensure_future(ids(one))
        log.add([job(1)])
        assert await waiting == [1]
        allowed.remove("one")
        assert await ids(one) == []
        assert (one.is_open, other.is_open) == (False, True)
        assert await ids(other) == [1]

    on_loop(test)
