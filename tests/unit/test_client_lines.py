"""Connections to a service: kept, left behind by a fork, closed with their loop; tokens unseen."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import threading
import traceback
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from jobpipe import Jobpipe
from jobpipe.errors import ConfigError, JobpipeError, StoreUnavailable

TOKEN = "s3cret-token"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every GET with counts of one queue, or as its path says."""

    protocol_version = "HTTP/1.1"
    seen: list[dict[str, Any]]

    def do_GET(self) -> None:
        about = {"path": self.path, "port": self.client_address[1], **self.headers}
        type(self).seen.append(about)
        status, headers, body = HTTPStatus.OK, {}, {"items": []}
        if self.path.endswith("/jobs/3"):
            status, headers = HTTPStatus.FOUND, {"Location": "http://127.0.0.1:1/"}
        if self.path.endswith("/jobs/4"):
            status = HTTPStatus.UNAUTHORIZED
            body = {"code": "unauthorized", "detail": "unknown token"}
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *about: Any) -> None: ...


class Scripted:
    """A server on a port of its own."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        kind = type("Own", (Handler,), {"seen": self.seen})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def ports(self) -> set[int]:
        """The ports of the connections over which requests came."""
        return {each["port"] for each in self.seen}


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


@pytest.fixture
def jp(scripted: Scripted) -> Iterator[Jobpipe]:
    application = Jobpipe(f"{scripted.url}/prefix/", token=TOKEN)
    yield application
    application.close()


def test_requests_say_who_asks_and_share_a_connection(scripted: Scripted, jp: Jobpipe) -> None:
    assert jp.queues() == []
    assert jp.queues() == []
    first = scripted.seen[0]
    assert first["path"] == "/prefix/api/v1/queues"
    assert first["authorization"] == f"Bearer {TOKEN}"
    assert first["user-agent"] == "jobpipe-python"
    assert len(scripted.ports) == 1


def test_a_loop_has_connections_of_its_own_and_closes_them(scripted: Scripted, jp: Jobpipe) -> None:
    async def twice() -> None:
        await jp.aqueues()
        await jp.aqueues()

    asyncio.run(twice())
    asyncio.run(twice())
    assert len(scripted.seen) == 4
    assert len(scripted.ports) == 2


def test_a_forked_child_opens_its_own_connection(scripted: Scripted, jp: Jobpipe) -> None:
    jp.queues()
    if (child := os.fork()) == 0:
        try:
            os._exit(0 if jp.queues() == [] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    jp.queues()
    assert [each["port"] for each in scripted.seen[::2]] == [scripted.seen[0]["port"]] * 2
    assert scripted.seen[1]["port"] != scripted.seen[0]["port"]


def test_after_close_the_next_use_connects_again(scripted: Scripted, jp: Jobpipe) -> None:
    jp.queues()
    jp.close()
    jp.close()
    jp.queues()
    assert len(scripted.ports) == 2


def test_a_redirect_is_not_followed(jp: Jobpipe) -> None:
    with pytest.raises(ConfigError, match="sends us elsewhere"):
        jp.job(3)


def test_a_token_shows_nowhere(jp: Jobpipe) -> None:
    with pytest.raises(JobpipeError, match="unknown token") as told:
        jp.job(4)
    shown = "".join(
        traceback.TracebackException.from_exception(told.value, capture_locals=True).format()
    )
    shown += repr(jp) + repr(jp.settings) + repr(vars(jp._access))
    shown += repr(vars(jp._access._lines))  # type: ignore[union-attr]
    assert TOKEN not in shown


def test_who_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobpipe.client.talk.FIRST_PAUSE", 0.0)
    jp = Jobpipe("http://127.0.0.1:1", token=TOKEN)
    with pytest.raises(StoreUnavailable, match=r"http://127\.0\.0\.1:1 does not answer") as told:
        jp.queues()
    assert told.value.__cause__ is told.value.__context__ is None
    jp.close()


@pytest.mark.parametrize("url", ["http://example.invalid", "HTTP://10.1.2.3:8000/x"])
def test_a_token_does_not_go_to_another_machine_in_plain_text(url: str) -> None:
    with pytest.raises(ConfigError, match="in plain text") as told:
        Jobpipe(url, token=TOKEN).queues()
    assert TOKEN not in str(told.value)
