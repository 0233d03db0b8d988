"""``jobpipe top``: one frame in a pipe, one object as JSON, a live view on a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobpipe.app.overview import LoadWatch, Overview, QueueLoad
from tests.surface.conftest import Cli
from tests.surface.program import COMMAND, LIMIT, Program

QUICK = ["--every", "0.1"]


def put_work(cli: Cli) -> None:
    cli("enqueue", "app.fail", "text=x")
    cli("enqueue", "app.add", "a=1")
    cli.worked()
    cli("enqueue", "app.add", "a=2")
    cli("queue", "pause", "mail")


def test_one_object(cli: Cli) -> None:
    put_work(cli)
    seen = cli("top", "--json", *QUICK).json
    assert seen["time"].endswith("Z")
    default, mail = seen["queues"]
    assert (default["name"], default["queued"], default["succeeded"]) == ("default", 1, 1)
    assert default["oldest_wait_seconds"] >= 0
    assert default["per_second"] == {"started": 0.0, "succeeded": 0.0, "failed": 0.0}
    assert (mail["paused"], mail["failed"], mail["oldest_wait_seconds"]) == (True, 1, None)
    assert seen["workers"] == []
    assert {task["task"]: task["runs"] for task in seen["slowest"]} == {"app.add": 1, "app.fail": 1}
    assert seen["failing"] == [{"task": "app.fail", "failed": 1, "retrying": 0}]


def test_one_frame_in_a_pipe(cli: Cli) -> None:
    put_work(cli)
    ended = cli("top", *QUICK)
    assert (ended.code, ended.err) == (0, "")
    heads = [block.split("\n")[0].split() for block in ended.out.rstrip("\n").split("\n\n")]
    assert [head[0] for head in heads] == ["QUEUE", "WORKER", "SLOWEST", "FAILING"]
    row = ended.out.splitlines()[1].split()
    assert (row[:7], row[8]) == (["default", "1", "0", "0", "0.0", "0.0", "0.0"], "ok")


def overview(**counts: int) -> Overview:
    """A look at one queue with these counts; the others are 0."""
    zeros = dict.fromkeys(
        ["queued", "running", "scheduled", "retrying", "parked", "succeeded", "failed"], 0
    )
    load = QueueLoad(
        name="q", paused=False, oldest_wait_seconds=None, per_second=None, **{**zeros, **counts}
    )
    return Overview(time=None, queues=[load], workers=[], slowest=[], failing=[])


def test_rates_are_of_what_moved_between_two_looks() -> None:
    looks = [
        overview(succeeded=10, failed=5, running=1),
        overview(succeeded=30, failed=4, running=3),
    ]
    times = [0.0, 2.0]

    async def look() -> Overview:
        return looks.pop(0)

    watch = LoadWatch(lambda: looks.pop(0), look, lambda: times.pop(0))
    assert watch.look().queues[0].per_second is None
    rates = asyncio.run(watch.alook()).queues[0].per_second
    assert rates is not None
    # 20 succeeded and none failed (five were pruned), two more run: 22 in two seconds.
    assert (rates.started, rates.succeeded, rates.failed) == (11.0, 10.0, 0.0)


class Screen:
    """A terminal of its own with the live view on it."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self.process = process
        self.seen = ""

    def until(self, words: str) -> None:
        """Read until the words have been shown."""
        deadline = time.monotonic() + LIMIT
        while words not in self.seen:
            ready, _, _ = select.select([self._descriptor], [], [], deadline - time.monotonic())
            assert ready, f"{words!r} was never shown: {self.seen[-2000:]!r}"
            self.seen += os.read(self._descriptor, 65_536).decode()

    def rest(self) -> str:
        while True:
            try:
                self.seen += os.read(self._descriptor, 65_536).decode()
            except OSError:  # how Linux tells that the other side is closed
                return self.seen

    def hang_up(self) -> None:
        """Take the terminal away, as a broken connection does."""
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, self._descriptor)
        os.close(null)

    def press(self, key: str) -> None:
        os.write(self._descriptor, key.encode())


@contextmanager
def live(program: Program, *words: str, **env: str) -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "top", *QUICK, *words],
        cwd=program.folder,
        env=program.env | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"} | env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # A background job of a shell ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    os.close(theirs)
    try:
        yield Screen(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def program(tmp_path: Path, sqlite_url: str) -> Program:
    program = Program(tmp_path, sqlite_url)
    program("enqueue", "app.add", "a=1")
    return program


@pytest.mark.parametrize("way", ["q", "ctrl-c", "term"])
def test_the_live_view_ends_and_leaves_the_terminal_as_it_was(program: Program, way: str) -> None:
    with live(program) as screen:
        screen.until("default")
        assert "\x1b[?1049h" in screen.seen
        if way == "q":
            screen.press("q")
        else:
            number = signal.SIGINT if way == "ctrl-c" else signal.SIGTERM
            screen.process.send_signal(number)
        seen = screen.rest()
        assert screen.process.wait(LIMIT) == (143 if way == "term" else 0)
    assert "\x1b[?1049l" in seen
    assert "Traceback" not in seen


def test_the_live_view_ends_with_its_terminal(program: Program) -> None:
    with live(program) as screen:
        screen.until("default")
        screen.hang_up()
        screen.process.wait(LIMIT)


def test_the_live_view_follows_what_happens(program: Program) -> None:
    with live(program, NO_COLOR="1") as screen:
        screen.until("default")
        program("queue", "pause", "default")
        screen.until("paused")
        assert "\x1b[3" not in screen.seen
        assert "QUEUE" in screen.seen
        screen.press("q")
        assert screen.process.wait(LIMIT) == 0


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_figure_is_cut_off_on_a_narrow_terminal(program: Program, columns: str) -> None:
    name = "a-queue-with-a-name-of-some-length"
    program("enqueue", "app.add", "a=1", "-q", name)
    env = {"COLUMNS": columns, "NO_COLOR": "1"}
    shown = program.on_terminal("top", "--once", *QUICK, env=env)
    assert max(map(len, shown.splitlines())) <= int(columns)
    for words in ("START/S", "OLDEST", "0.0", "ok"):
        assert words in shown
    listed = program.on_terminal("job", "list", env=env)
    assert max(map(len, listed.splitlines())) <= int(columns)
    whole = "".join(listed.split())
    for words in ("PRIORITY", "ATTEMPT", "queued", "0/5", "app.add"):
        assert words in whole
