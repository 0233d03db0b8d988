"""Hints: passed on in the process, gathered into messages, watched for on SQLite."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jobpipe.delivery import watch
from jobpipe.delivery.hub import LOOK, Hint, Hub
from jobpipe.delivery.notify import LANES_MAX, NotifySender, decode, encode, joined
from jobpipe.delivery.watch import Watcher
from jobpipe.errors import StoreUnavailable
from jobpipe.model.job import Lane
from jobpipe.store.sqlite.bells import Bells

A, B = Lane("a", 0), Lane("b", -5)
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
    ],
)
def test_two_hints_joined_say_what_both_say(one: Hint, other: Hint, expected: Hint) -> None:
    assert joined(one, other) == expected
    assert joined(other, one) == expected


@pytest.mark.parametrize("hint", [Hint({A: 3, B: 7}, 12, control=True), LOOK, Hint(due_in_us=0)])
def test_a_message_says_what_the_hint_said(hint: Hint) -> None:
    assert decode(encode(hint)) == Hint(hint.lanes, hint.due_in_us, hint.control, heard=True)


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
    """Receives messages; the first ``lost`` of them meet a store that is away."""

    def __init__(self, lost: int = 0) -> None:
        self.texts: list[str] = []
        self.arrived = threading.Event()
        self._lost = lost

    def __call__(self, text: str) -> None:
        if self._lost:
            self._lost -= 1
            raise StoreUnavailable
        self.texts.append(text)
        self.arrived.set()


def test_what_comes_from_here_is_sent_and_what_was_heard_is_not() -> None:
    mailbox = Mailbox()
    sender = NotifySender(mailbox)
    sender(Hint({B: 1}, heard=True))
    sender(Hint({A: 1}))
    assert mailbox.arrived.wait(LIMIT_SECONDS)
    sender.close()
    assert [decode(text).lanes for text in mailbox.texts] == [{A: 1}]


def test_hints_gather_while_one_is_sent() -> None:
    busy, go_on, texts = threading.Event(), threading.Event(), list[str]()

    def send(text: str) -> None:
        texts.append(text)
        busy.set()
        assert go_on.wait(LIMIT_SECONDS)

    sender = NotifySender(send)
    sender(Hint({A: 100}))
    assert busy.wait(LIMIT_SECONDS)
    for rank in range(50, 0, -1):
        sender(Hint({A: rank}))
    go_on.set()
    sender.close()
    assert [decode(text).lanes for text in texts] == [{A: 100}, {A: 1}]


def test_a_message_that_cannot_be_sent_ends_nothing() -> None:
    mailbox = Mailbox(lost=1)
    sender = NotifySender(mailbox)
    sender(Hint({A: 1}))
    while not mailbox.arrived.wait(0.01):
        sender(Hint({B: 2}))
    sender.close()
    assert decode(mailbox.texts[0]).lanes == {B: 2}


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
