"""The command line asks a service: each word it writes, and each exit code, is that of a store."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator

import pytest

from tests.conformance.app.served import Server
from tests.surface.conftest import Cli
from tests.surface.test_golden import FOLDER, GOLDEN, played, scene

__all__ = ["scene"]

ASKED = [
    "enqueue",
    "job list",
    "job show",
    "job logs",
    "job watch",
    "job cancel",
    "job rerun",
    "job delete",
    "queue list",
    "queue pause",
    "queue resume",
    "task list",
    "worker-list",
    "top",
]

MADE_UP = re.compile(r'"auto:[0-9a-f]{32}"')
"""The one difference: a job that is asked for over HTTP has a key."""


@pytest.fixture
def remote(scene: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """The same scene behind a service, for a command line that has no application."""
    server, application = Server(), sys.modules["app"].jp
    monkeypatch.setenv("JOBPIPE_URL", server.add(application))
    monkeypatch.setenv("JOBPIPE_APP", "none")
    yield scene
    server.remove(application)
    server.close()


@pytest.mark.parametrize("verb", ASKED)
def test_a_service_is_asked_like_a_store(remote: Cli, verb: str) -> None:
    expected = (FOLDER / f"{verb.replace(' ', '_')}.txt").read_text(encoding="utf-8")
    assert MADE_UP.sub("null", played(remote, GOLDEN[verb])) == expected


def test_a_task_is_named_and_waited_for_without_the_application(remote: Cli) -> None:
    application = sys.modules["app"].jp
    with application.running(poll_seconds=0.05):
        ended = remote("enqueue", "app.add", "a=20", "b=22", "--wait", "--wait-timeout", "20")
    assert (ended.code, ended.out) == (0, "42\n")
    assert remote("enqueue", "app.add", "--args", "[1]", "--wait", "--wait-timeout", "0").code == 12


def test_health_names_the_service(remote: Cli) -> None:
    told = remote("health", "--json").json
    assert (told["status"], told["store"][:17]) == ("ok", "http://127.0.0.1:")
    assert told["time"].endswith("Z")


@pytest.mark.parametrize(
    "words",
    [
        "doctor",
        "db status",
        "db migrate",
        "db sql",
        "db check",
        "worker",
        "worker --burst",
        "bench",
    ],
)
def test_what_needs_a_store_says_so(remote: Cli, words: str) -> None:
    ended = remote("--url", os.environ["JOBPIPE_URL"], *shlex.split(words))
    assert (ended.code, ended.out) == (2, "")
    assert "needs a store, and http://127.0.0.1:" in ended.err
    assert "JOBPIPE_URL" in ended.err


def test_a_service_that_is_away_is_told_like_a_store_that_is(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobpipe.client.talk.FIRST_PAUSE", 0.0)
    monkeypatch.setenv("JOBPIPE_APP", "none")
    ended = cli("--url", "http://127.0.0.1:1", "job", "list")
    assert (ended.code, ended.out) == (75, "")
    assert ended.err.startswith("Error: the service at http://127.0.0.1:1 does not answer: ")
