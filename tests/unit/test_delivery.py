"""Hints: passed on in the process, gathered into messages, watched for on SQLite."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jobpipe.delivery import notify, watch
from jobpipe.delivery.hub import LOOK, Hint, Hub
from jobpipe.delivery.notify import (
    LANES_MAX,
    NotifySender,
    decode,
    encode,
    joined,
    pause_after,
)
from jobpipe.delivery.watch import ChangeWatcher, Watcher
from jobpipe.errors import StoreUnavailable
from jobpipe.model.change import NO_CHANGES, UNKNOWN, Change, Changes
from jobpipe.model.job import Lane
from jobpipe.model.state import State
from jobpipe.store.sqlite.bells import Bells

A, B = Lane("a", 0), Lane("b", -5)
RUNS = Changes((Change(7, State.RUNNING, "a"),))
ENDS = Changes((Change(7, State.SUCCEEDED, "a"), Change(8, State.FAILED, "b")))
LIMIT_SECONDS = 10.0


def test_a_hub_rings_whoever_subscribed() -> None:
    hub, one, two = Hub(), list[Hint](), list[Hint]()
    stop = hub.subscribe(one.append)
    hub.subscribe(two.append)
    hub.ring(LOOK)
    stop()
    stop()
    hub.ring(Hint({A: 1}))
    assert (one, two) == ([LOOK], [LOOK, Hint({A: 1})])


@pytest.mark.parametrize(
    "hint,expected",
    [
        (LOOK, True),
        (Hint({A: 1}), True),
        (Hint({A: 1}, 5), True),
        (Hint(due_in_us=5), False),
        (Hint(control=True), False),
        (Hint(changes=RUNS), False),
        (Hint({A: 1}, changes=RUNS), True),
    ],
)
def test_which_hints_ask_claimers_to_look(hint: Hint, expected: bool) -> None:
    assert hint.is_look is expected


@pytest.mark.parametrize(
    "one,other,expected",
    [
        (Hint({A: 3}), Hint({A: 2, B: 9}), Hint({A: 2, B: 9})),
        (Hint({A: 3}), Hint(due_in_us=5), Hint({A: 3}, 5)),
        (Hint(due_in_us=5), Hint(due_in_us=2), Hint(due_in_us=2)),
        (Hint(control=True), Hint({B: 1}), Hint({B: 1}, control=True)),
        (Hint({A: 3}), Hint(changes=RUNS), Hint({A: 3}, changes=RUNS)),
    ],
)
def test_two_hints_joined_say_what_both_say(one: Hint, other: Hint, expected: Hint) -> None:
    assert joined(one, other) == expected
    assert joined(other, one) == expected


@pytest.mark.parametrize("hint", [Hint({A: 3, B: 7}, 12, control=True), LOOK, Hint(due_in_us=0)])
def test_a_message_says_what_the_hint_said(hint: Hint) -> None:
    assert decode(encode(hint)) == Hint(hint.lanes, hint.due_in_us, hint.control, heard=True)


def test_of_changes_joined_the_later_counts() -> None:
    assert joined(Hint(changes=RUNS), Hint(changes=ENDS)) == Hint(changes=ENDS)


CHANGES = [
    RUNS,
    ENDS,
    UNKNOWN,
    Changes(paused={"a": True, "b": False}),
    Changes(tallies={("a", State.QUEUED): 70, ("b", State.FAILED): 1}, is_complete=False),
]


@pytest.mark.parametrize("changes", CHANGES)
def test_a_message_says_what_changed(changes: Changes) -> None:
    hint = decode(encode(Hint(changes=changes), "me"), "you")
    assert hint == Hint(heard=True, changes=changes)


def test_of_a_message_of_our_own_the_changes_are_known() -> None:
    text = encode(Hint({A: 1}, changes=RUNS), "me")
    assert decode(text, "me") == Hint({A: 1}, heard=True, changes=NO_CHANGES)
    assert not decode(encode(Hint(changes=RUNS), "me"), "me").is_look


def test_of_jobs_in_queues_of_long_names_as_much_is_told_as_a_message_holds() -> None:
    wide = [f"{n}{'q' * 190}" for n in range(50)]
    changes = Changes(tuple(Change(n, State.QUEUED, queue) for n, queue in enumerate(wide)))
    heard = decode(encode(Hint({A: 1}, changes=changes))).changes
    assert heard == UNKNOWN
    few = Changes(tuple(Change(n, State.QUEUED, wide[n // 2]) for n in range(50)))
    text = encode(Hint(changes=few))
    assert len(text.encode()) < 8_000
    assert decode(text).changes == few


def test_what_no_message_can_hold_is_unknown() -> None:
    tallies = {(f"{n}{'q' * 190}", State.QUEUED): 1 for n in range(60)}
    heard = decode(encode(Hint({A: 1}, changes=Changes(tallies=tallies))))
    assert heard == Hint({A: 1}, heard=True, changes=UNKNOWN)


def test_a_message_of_too_much_says_only_look() -> None:
    many = Hint({Lane(f"q{n}", 0): 1 for n in range(LANES_MAX + 1)})
    wide = Hint({Lane(f"{n}{'q' * 198}", 0): 1 for n in range(LANES_MAX)})
    for hint in (many, wide):
        text = encode(hint)
        assert len(text) < 8_000
        assert decode(text) == Hint({}, heard=True)
        assert decode(text).is_look


@pytest.mark.parametrize("payload", [None, "", "nonsense", "[1]", '{"lanes": 7}'])
def test_a_message_that_makes_no_sense_means_look(payload: str | None) -> None:
    assert decode(payload).is_look
    assert decode(payload).heard


class Mailbox:
    """Receives hints; the first ``lost`` of them meet a store that is away."""

    def __init__(self, lost: int = 0) -> None:
        self.hints: list[Hint] = []
        self.arrived = threading.Event()
        self._lost = lost

    def __call__(self, hint: Hint) -> None:
        if self._lost:
            self._lost -= 1
            raise StoreUnavailable
        self.hints.append(hint)
        self.arrived.set()


def test_what_comes_from_here_is_sent_and_what_was_heard_is_not() -> None:
    mailbox = Mailbox()
    sender = NotifySender(Hub(), mailbox)
    sender(Hint({B: 1}, heard=True))
    sender(Hint({A: 1}))
    assert mailbox.arrived.wait(LIMIT_SECONDS)
    sender.close()
    assert mailbox.hints == [Hint({A: 1})]


def test_hints_gather_while_one_is_sent() -> None:
    busy, go_on, hints = threading.Event(), threading.Event(), list[Hint]()

    def send(hint: Hint) -> None:
        hints.append(hint)
        busy.set()
        assert go_on.wait(LIMIT_SECONDS)

    sender = NotifySender(Hub(), send)
    sender(Hint({A: 100}))
    assert busy.wait(LIMIT_SECONDS)
    for rank in range(50, 0, -1):
        sender(Hint({A: rank}))
    go_on.set()
    sender.close()
    assert [hint.lanes for hint in hints] == [{A: 100}, {A: 1}]


def test_a_message_that_cannot_be_sent_ends_nothing() -> None:
    mailbox = Mailbox(lost=1)
    sender = NotifySender(Hub(), mailbox)
    sender(Hint({A: 1}))
    while not mailbox.arrived.wait(0.01):
        sender(Hint({B: 2}))
    sender.close()
    assert mailbox.hints[0].lanes == {B: 2}


def test_changes_are_sent_only_while_somebody_elsewhere_watches() -> None:
    hub, mailbox = Hub(), Mailbox()
    sender = NotifySender(hub, mailbox)
    hub.is_watched_here = True
    sender(Hint(changes=RUNS))
    hub.is_watched_elsewhere = True
    sender(Hint(changes=ENDS))
    sender.close()
    assert mailbox.hints == [Hint(changes=ENDS)]


def test_what_only_changed_waits_for_more_but_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notify, "CHANGES_SECONDS", 10 * LIMIT_SECONDS)
    hub, mailbox = Hub(), Mailbox()
    hub.is_watched_elsewhere = True
    sender = NotifySender(hub, mailbox)
    sender(Hint(changes=RUNS))
    assert not mailbox.arrived.wait(0.05)
    sender(Hint(changes=ENDS))
    sender(Hint({A: 1}))  # a worker must not wait
    assert mailbox.arrived.wait(LIMIT_SECONDS)
    assert mailbox.hints == [Hint({A: 1}, changes=ENDS)]
    sender(Hint(changes=RUNS))
    sender.close()
    assert mailbox.hints[1:] == [Hint(changes=RUNS)]
    monkeypatch.undo()
    mailbox.arrived.clear()
    sender(Hint(changes=RUNS))
    assert mailbox.arrived.wait(LIMIT_SECONDS)


PROGRAM = """
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.delivery.notify import NotifySender
from jobpipe.model.change import UNKNOWN

hub = Hub()
hub.is_watched_elsewhere = True
NotifySender(hub, lambda hint: print(hint.changes == UNKNOWN))(Hint(changes=UNKNOWN))
"""


def test_a_program_that_ends_has_told_all() -> None:
    assert subprocess.check_output([sys.executable, "-c", PROGRAM], text=True) == "True\n"


def test_steering_is_sent_whoever_watches() -> None:
    mailbox = Mailbox()
    sender = NotifySender(Hub(), mailbox)
    sender(Hint(control=True, changes=RUNS))
    sender.close()
    assert mailbox.hints == [Hint(control=True, changes=RUNS)]


def test_who_watches_hears_that_a_message_was_lost() -> None:
    hub, mailbox = Hub(), Mailbox(lost=1)
    hub.is_watched_elsewhere = True
    sender = NotifySender(hub, mailbox)
    sender(Hint(changes=RUNS))
    assert mailbox.arrived.wait(LIMIT_SECONDS)
    sender.close()
    assert mailbox.hints == [Hint(changes=UNKNOWN)]


class Probe:
    """Has changed as often as it was told."""

    def __init__(self) -> None:
        self.changes = 0
        self.closed = threading.Event()

    def has_changed(self) -> bool:
        self.changes, changed = max(0, self.changes - 1), self.changes > 0
        return changed

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("hangs", [True, False], ids=["with-a-bell", "without"])
def test_a_watcher_looks_when_something_was_committed(hangs: bool, tmp_path: Path) -> None:
    probe, looked = Probe(), threading.Event()
    bells = Bells(str(tmp_path / "jobs.db"))

    async def listen() -> None:
        watcher = Watcher(lambda: probe, looked.set, bells.hang if hangs else lambda: None)
        await watcher.start()
        assert not looked.is_set()
        probe.changes = 1
        assert await asyncio.to_thread(looked.wait, LIMIT_SECONDS)  # though nobody rang
        await watcher.stop()
        assert await asyncio.to_thread(probe.closed.wait, LIMIT_SECONDS)

    asyncio.run(listen())


def test_a_watcher_looks_at_once_when_its_bell_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BELL_SECONDS", 10 * LIMIT_SECONDS)
    probe, looked = Probe(), threading.Event()

    async def listen(bells: Bells) -> None:
        watcher = Watcher(lambda: probe, looked.set, bells.hang)
        await watcher.start()
        bells.ring()  # the probe may be blind, while this process's own writer is at work
        assert await asyncio.to_thread(looked.wait, LIMIT_SECONDS)
        bells.ring()  # ends its wait
        await watcher.stop()
        await watcher.stop()

    with TemporaryDirectory() as folder:  # a socket's path must be short
        asyncio.run(listen(Bells(f"{folder}/jobs.db")))
        assert not list(Path(folder, "jobs.db-workers").iterdir())


def test_an_ear_hears_what_others_tell() -> None:
    words, heard = list[str | None](), threading.Event()

    def take(text: str | None) -> None:
        words.append(text)
        heard.set()

    async def listen(bells: Bells) -> None:
        watcher = ChangeWatcher(Probe, take, bells.listen)
        await watcher.start()
        bells.ring()
        bells.tell("this")
        assert await asyncio.to_thread(heard.wait, LIMIT_SECONDS)
        await watcher.stop()
        await watcher.stop()

    with TemporaryDirectory() as folder:  # a socket's path must be short
        asyncio.run(listen(Bells(f"{folder}/jobs.db")))
    assert words == ["this"]


def test_without_an_ear_one_hears_that_something_was_committed() -> None:
    probe, words, heard = Probe(), list[str | None](), threading.Event()
    probe.changes = 1

    def take(text: str | None) -> None:
        words.append(text)
        heard.set()

    async def listen() -> None:
        watcher = ChangeWatcher(lambda: probe, take, lambda: None)
        await watcher.start()
        assert await asyncio.to_thread(heard.wait, LIMIT_SECONDS)
        await watcher.stop()
        assert await asyncio.to_thread(probe.closed.wait, LIMIT_SECONDS)

    asyncio.run(listen())
    assert words == [None]


@pytest.mark.parametrize(
    "hints, seconds, then",
    [
        (9, 0.001, 0.005),
        (10, 0.005, 0.02),
        (10, 0.006, 0.005),
        (39, 0.02, 0.005),
        (40, 0.02, 0.02),
    ],
)
def test_hints_are_gathered_for_longer_while_very_many_come(
    hints: int, seconds: float, then: float
) -> None:
    """Two thousand a second; after a stall in which many gathered it is short again."""
    assert pause_after(hints, seconds) == then
