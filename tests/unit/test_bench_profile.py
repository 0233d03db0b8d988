"""What the profile makes of a profiler's samples."""

from __future__ import annotations

import pytest

from bench.profile.drain import part_of, shares

LOOP = "MainThread;run (jobpipe/cli/main.py:62);_run_once (asyncio/base_events.py:1922)"
RUN = "run an attempt: slot, context, call, outcome"
SLOT = f"{LOOP};Slots._work (jobpipe/runtime/slots.py:217)"


@pytest.mark.parametrize(
    "stack,part",
    [
        (LOOP, "event loop"),
        (f"{LOOP};EpollSelector.select (selectors.py:468)", "socket: wait"),
        (SLOT, RUN),
        (f"{SLOT};Semaphore.acquire (asyncio/locks.py:393)", RUN),
        (f"{SLOT};noop (tasks.py:31);Tally.count (bench/systems/kit.py:61)", "the task itself"),
        (f"{SLOT};current_task (asyncio/tasks.py:36)", RUN),
        (f"{SLOT};Connection.fetch (asyncpg/connection.py:690)", "drivers"),
        (
            f"{SLOT};Connection.fetch (asyncpg/connection.py:690)"
            ";_SelectorSocketTransport.write (asyncio/selector_events.py:1070)",
            "socket: write",
        ),
    ],
)
def test_a_stack_belongs_to_the_innermost_file_that_counts(stack: str, part: str) -> None:
    assert part_of(stack.split(";")) == part


def test_shares_are_percents_of_all_samples_the_largest_first() -> None:
    found = shares([f"{LOOP} 10", f"{SLOT} 25", f"{SLOT};current_task (asyncio/tasks.py:36) 5"])
    assert list(found.items()) == [(RUN, [75.0]), ("event loop", [25.0])]
