"""What keeps the store in order begins anew when it has failed, and until then tells of it."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe
from jobpipe.runtime import caretaker
from tests.waiting import until


class Posts:
    """The posts of the caretaker; from the second on their first look fails until ``go``."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.go = threading.Event()
        self.failures = 0

    async def look(self, post: caretaker._Post) -> float:
        if post not in self.all:
            self.all.append(post)
        if len(self.all) > 1 and not self.go.is_set():
            self.failures += 1
            raise ValueError("no such look")
        return await LOOK(post)


LOOK = caretaker._Post._look


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Posts:
    made = Posts()
    monkeypatch.setattr(caretaker._Post, "_look", lambda post: made.look(post))
    return made


def test_a_look_that_fails_ends_no_duty(
    posts: Posts, client: TestClient, app: Jobpipe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobpipe")
    assert client.get("/readyz").status_code == 200
    posts.all[0]._tell_lost("it was taken away")
    until(lambda: posts.failures)
    refused = client.get("/readyz")
    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    until(lambda: "beginning anew" in caplog.text)
    assert "no such look" in caplog.text
    posts.go.set()
    until(lambda: client.get("/readyz").status_code == 200)
    promoted(app)


def test_a_part_that_ends_is_begun_anew(
    posts: Posts, client: TestClient, app: Jobpipe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobpipe")
    posts.go.set()

    async def part() -> None:
        raise ValueError("no such part")

    post = posts.all[0]
    post._loop.call_soon_threadsafe(lambda: post._spawn(part()))
    until(lambda: len(posts.all) == 2)
    until(lambda: client.get("/readyz").status_code == 200)
    assert "a part of it failed: ValueError: no such part" in caplog.text
    promoted(app)


def promoted(app: Jobpipe) -> None:
    """Return when a job that is due later has come into the queue."""
    (id,) = app.enqueue_many([app.call_named("add", [1], run_after=timedelta(seconds=0.2))])
    until(lambda: app.job_view(id).state == "queued")
