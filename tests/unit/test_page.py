"""The page that a worker process shares with its supervisor."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from jobpipe.runtime.supervisor.page import SIZE, SLOTS_MAX, Page


@pytest.fixture
def pages() -> Iterator[tuple[Page, Page]]:
    """One page, seen from both sides."""
    page = Page.create()
    other = Page(os.dup(page.descriptor))
    yield page, other
    page.close()
    other.close()


def test_the_other_side_sees_what_runs(pages: tuple[Page, Page]) -> None:
    ours, theirs = pages
    last = SLOTS_MAX - 1
    theirs.begin(0, (5, 1))
    theirs.begin(last, (2**62, 3))
    assert set(ours.running()) == {(5, 1), (2**62, 3)}
    assert 0 < ours.running()[5, 1] <= ours.running()[2**62, 3]
    theirs.end(0)
    theirs.begin(3, (5, 2))
    assert set(ours.running()) == {(2**62, 3), (5, 2)}
    assert ours.counts == (3, 1)
    assert ours.ended() == {(5, 1)}
    theirs.begin(0, (6, 1))
    assert ours.ended() == set()


def test_it_survives_whoever_wrote_it() -> None:
    page = Page.create()
    pid = os.fork()
    if pid == 0:
        page.begin(1, (42, 7))
        page.beat()
        os._exit(0)
    os.waitpid(pid, 0)
    assert set(page.running()) == {(42, 7)}
    assert page.pulse > 0
    page.close()


def test_the_latest_renewal_counts(pages: tuple[Page, Page]) -> None:
    ours, theirs = pages
    ours.renewed(10.0, float("-inf"))
    assert (theirs.renewed_at, theirs.late_at) == (10.0, 0.0)
    theirs.renewed(12.0, 11.0)
    ours.renewed(11.5, 5.0)
    assert (ours.renewed_at, ours.late_at) == (12.0, 11.0)


def test_a_dump_is_read_once_and_apart_from_the_page(pages: tuple[Page, Page]) -> None:
    ours, theirs = pages
    assert ours.new_dump() == ""
    os.write(theirs.descriptor, b"first\n")
    assert ours.new_dump() == "first\n"
    os.write(theirs.descriptor, b"second \xff\n")
    assert ours.new_dump() == "second \ufffd\n"
    assert ours.new_dump() == ""
    assert os.fstat(ours.descriptor).st_size == SIZE + 15
    assert ours.running() == {}
