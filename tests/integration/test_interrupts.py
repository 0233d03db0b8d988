"""A signal may interrupt a thread that enqueues anywhere: nobody else may have to wait for that."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import FrameType

import pytest

from jobpipe import Jobpipe

ENOUGH_SECONDS = 20
LOOKS = ("call", "c_return")
"""Where the interpreter looks for signals."""


class Signal(BaseException):
    """What a signal's handler raises."""


class Interrupter:
    """Interrupts this thread at one of the places where a signal could."""

    def __init__(self, at: int) -> None:
        self.places = 0
        self._at = at

    def __call__(self, _frame: FrameType, event: str, _arg: object) -> None:
        if event in LOOKS:
            self.places += 1
            if self.places == self._at:
                sys.setprofile(None)
                raise Signal


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: who listens to that is nobody's to interrupt here."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_an_interrupt_at_any_call_of_an_enqueue_harms_nobody_else(sqlite_url: str) -> None:
    """On SQLite, where threads share one connection."""
    jp = Jobpipe(sqlite_url)

    @jp.task
    def noop(n: int) -> None: ...

    noop.enqueue(0)
    acknowledged, at = 1, 1
    interrupts: list[Signal] = []  # kept with their frames, as whoever catches one may keep it
    with closing(jp), ThreadPoolExecutor(1) as threads:
        while True:
            interrupter = Interrupter(at)
            sys.setprofile(interrupter)
            try:
                noop.enqueue(at)
            except Signal as error:
                interrupts.append(error)
            else:
                acknowledged += 1
            finally:
                sys.setprofile(None)
            threads.submit(noop.enqueue, at).result(ENOUGH_SECONDS)
            acknowledged += 1
            if interrupter.places < at:
                break
            at += 1
        stored = jp.counts()["queued"]
    assert len(interrupts) > 30
    assert acknowledged <= stored <= acknowledged + len(interrupts)
