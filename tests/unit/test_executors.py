"""The parts of the process executor: frames, output, groups, environments, introductions."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jobpipe.config.document import as_texts
from jobpipe.config.environment import child_environment, command_environment
from jobpipe.config.load import load_settings
from jobpipe.runtime.executors import output as outputs
from jobpipe.runtime.executors.frames import Frames, Hello, Stop, encode, to_child
from jobpipe.runtime.executors.group import Exit, Group
from jobpipe.runtime.executors.origin import introduce
from jobpipe.runtime.executors.output import Output
from jobpipe.tasks.registry import Tasks
from tests.waiting import is_alive

tasks = Tasks()
LIMIT_SECONDS = 20.0


@tasks.task(executor="process")
def declared() -> None:
    return None


def on_loop(case: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await case()

    asyncio.run(limited())


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110  # another process tells no event
        await asyncio.sleep(0.01)


def test_frames_come_out_whole_however_they_arrive() -> None:
    stream = encode(Stop("cancel")) + encode(Stop("x" * 1_000)) + encode(Stop("stop"))
    for step in (1, 7, 4096):
        frames = Frames(2_000)
        found = [
            to_child.decode(frame)
            for start in range(0, len(stream), step)
            for frame in frames.feed(stream[start : start + step])
        ]
        assert found == [Stop("cancel"), Stop("x" * 1_000), Stop("stop")]


def test_a_frame_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="a frame of 1818584096 bytes is longer than 2000"):
        list(Frames(2_000).feed(b"led astray"))


def test_output_is_told_by_lines_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "TOLD_MAX", 40)
    monkeypatch.setattr(outputs, "LINE_MAX", 10)

    async def case() -> None:
        told: list[str] = []
        output = Output(keep=6)
        os.write(output.write, b"before\n")
        output.begin(told.append)
        os.write(output.write, b"one\r\n\n12345678901234\n\xff\0rest")
        output.end()
        assert told == ["one", "", "1234567890", "1234", "\\xff\\x00rest"]
        assert output.tail == "\\xff\\x00rest"
        told.clear()
        output.begin(told.append)
        for _ in range(3):
            os.write(output.write, b"x" * 30)
            await asyncio.sleep(0.05)
        output.end()
        assert told == ["x" * 10] * 5 + ["x" * 10, "... 30 bytes more were written and not kept"]
        output.close()
        output.close()

    on_loop(case)


def test_a_group_ends_with_all_that_it_forked() -> None:
    async def case() -> None:
        output = Output()
        told: list[str] = []
        output.begin(told.append)
        group = Group(
            ["sh", "-c", "trap '' TERM; sleep 60 & echo $!; wait; wait"],
            environment={"PATH": os.environ["PATH"]},
            output=(output.write, output.write),
        )
        await until(lambda: told)
        end = await group.end()
        assert (end.code, str(end).partition(";")[0]) == (-9, "killed by signal 9 (SIGKILL)")
        assert not is_alive(group.pid)
        await until(lambda: not is_alive(int(told[0])))
        group.kill()
        output.close()

    on_loop(case)


def test_what_outlives_the_first_of_a_group_is_ended() -> None:
    async def case() -> None:
        output = Output()
        told: list[str] = []
        output.begin(told.append)
        group = Group(
            ["sh", "-c", "sleep 60 & echo $!; exit 3"],
            environment={"PATH": os.environ["PATH"]},
            output=(output.write, output.write),
        )
        await asyncio.wait([group.ended])
        assert group.ended.result().code == 3
        output.end()
        await until(lambda: not is_alive(int(told[0])))
        output.close()

    on_loop(case)


def test_an_exit_says_how() -> None:
    assert str(Exit(7)) == "exited with code 7"
    assert str(Exit(-11, 300)) == "killed by signal 11 (SIGSEGV); it held up to 300 MB of memory"
    assert str(Exit(-99)) == "killed by signal 99 (unknown)"
    assert str(Exit(None)) == "its exit code is unknown"


def test_environments_hold_no_secrets_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"JOBPIPE_URL": "u", "DATABASE_URL": "d", "JOBPIPE_LISTEN_URL": "l", "OWN": "o"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    def told(passed: list[str]) -> set[str]:
        return given.keys() & child_environment(passed).keys()

    assert told([]) == {"OWN"}
    assert told(["DATABASE_URL"]) == {"OWN", "DATABASE_URL"}
    assert told(["*"]) == set(given)
    assert not given.keys() & command_environment().keys()
    assert command_environment()["PATH"] == os.environ["PATH"]


def test_settings_come_back_from_their_texts(tmp_path: Path) -> None:
    settings = load_settings(
        {
            "url": "postgresql://u:p@h/d",
            "queues": "mail:3,*",
            "timeout_seconds": 2.5,
            "retry_delays": [1, 2],
            "max_payload": 5_000,
            "capture_print": True,
            "process_env": "A,B",
            "retention": "failed=2d",
        },
        environ={},
        directory=tmp_path,
    )
    texts = as_texts(settings)
    assert load_settings(texts, environ={}, directory=tmp_path) == settings
    defaults = load_settings(environ={}, directory=tmp_path)
    assert load_settings(as_texts(defaults), environ={}, directory=tmp_path) == defaults


def test_a_program_introduces_itself_by_its_own_modules() -> None:
    hello = introduce(tasks, tasks.registry, {"url": "x"})
    assert hello == Hello(
        parent=os.getpid(),
        sys_path=[entry or os.getcwd() for entry in sys.path],
        application=f"{__name__}:tasks",
        tasks={f"{__name__}.declared": __name__},
        settings={"url": "x"},
    )
    assert introduce(Tasks(), tasks.registry, {}).application is None
