"""The stream of events over a real socket: its form, its going on after a cut, its ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from jobpipe import Jobpipe
from jobpipe.config import tokens_file
from jobpipe.http.asgi import asgi
from jobpipe.http.condition import Condition
from jobpipe.model.role import Role
from jobpipe.runtime import events
from tests.http.conftest import in_thread, served_by
from tests.waiting import until

PATH = "/api/v1/events"


class Stream:
    """A client that reads a stream, line by line, on a thread of its own."""

    def __init__(self, base: str, path: str = PATH, **headers: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=30)
        self._connection.request("GET", path, headers=headers)
        self.answer = self._connection.getresponse()
        self.blocks: list[dict[str, str]] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        block: dict[str, str] = {}
        for line in self.answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name or value:
                block[name] = value
            else:
                self.blocks.append(block)
                block = {}
        self.ended.set()

    def of(self, kind: str) -> list[dict[str, Any]]:
        blocks = [block for block in list(self.blocks) if block.get("event") == kind]
        return [json.loads(block["data"]) for block in blocks]

    @property
    def id(self) -> str:
        """What a browser would send when it comes back."""
        return [block["id"] for block in list(self.blocks) if "id" in block][-1]

    def close(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(2)
        self._thread.join(10)
        self._connection.close()


@contextmanager
def reading(base: str, path: str = PATH, **headers: str) -> Iterator[Stream]:
    stream = Stream(base, path, **headers)
    try:
        until(lambda: stream.blocks)
        yield stream
    finally:
        stream.close()


def settled(stream: Stream) -> None:
    """Wait until the service tells that from here on it hears everything."""
    until(lambda: any(not told["complete"] for told in stream.of("counts")))


def test_a_stream_tells_of_jobs_as_they_change(app: Jobpipe, served: str) -> None:
    with reading(served) as stream:
        headers = {name.lower(): value for name, value in stream.answer.getheaders()}
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        assert "content-length" not in headers
        assert stream.blocks[0].keys() == {"retry", "id"}
        settled(stream)
        job = app.enqueue_named("say", {"words": ["a"]})
        until(lambda: {"id": job.id, "state": "queued", "queue": "talk"} in stream.of("job"))
        app.drain()
        until(lambda: {"id": job.id, "state": "succeeded", "queue": "talk"} in stream.of("job"))


def test_who_comes_back_goes_on_where_he_was(app: Jobpipe, served: str) -> None:
    with reading(served) as stream:
        settled(stream)
        job = app.enqueue_named("add", [1])
        until(lambda: stream.of("job") == [{"id": job.id, "state": "queued", "queue": "default"}])
        id = stream.id
    app.drain()
    ended = {"id": job.id, "state": "succeeded", "queue": "default"}
    with reading(served, f"{PATH}?topics=job", **{"Last-Event-ID": id}) as again:
        until(lambda: ended in again.of("job"))
        assert {"id": job.id, "state": "queued", "queue": "default"} not in again.of("job")
        assert again.of("reset") == []
    with reading(served, f"{PATH}?last_event_id={id}&job={job.id}") as again:
        until(lambda: ended in again.of("job"))
    with reading(served, **{"Last-Event-ID": "elsewhere-7"}) as strange:
        until(lambda: strange.of("reset") == [{}])


def test_filters_bound_what_is_told(app: Jobpipe, served: str) -> None:
    with reading(served, f"{PATH}?topics=job,queue&queue=talk") as stream:
        settled(stream)
        app.enqueue_named("add", [1])
        app.pause_queue("talk")
        job = app.enqueue_named("say", {"words": ["a"]})
        until(lambda: stream.of("job"))
        until(lambda: stream.of("queue"))
        assert stream.of("job") == [{"id": job.id, "state": "queued", "queue": "talk"}]
        assert stream.of("queue") == [{"queue": "talk", "paused": True}]


FAILED = {"error": {"type": "E", "message": "m"}, "retry_after_seconds": 60}
ENDS = [
    ("finish", {}, "succeeded"),
    ("fail", FAILED, "retrying"),
    ("snooze", {"seconds": 60}, "scheduled"),
]


@pytest.mark.parametrize("is_here", [True, False], ids=["here", "elsewhere"])
def test_what_programs_elsewhere_do_is_told(
    app: Jobpipe, store_url: str, served: str, is_here: bool
) -> None:
    claims = f"{served}/api/v1/claims"
    with ExitStack() as opened:
        base = served
        if not is_here:
            other = Jobpipe(store_url)
            opened.callback(other.close)
            base = opened.enter_context(in_thread(other))
        stream = opened.enter_context(reading(base, f"{PATH}?topics=job"))
        settled(stream)
        until(lambda: app.hub.is_watched)

        def are_seen(states: list[str]) -> bool:
            seen = {told["id"]: told["state"] for told in stream.of("job")}
            return [seen.get(id) for id in ids] == states

        ids = [app.enqueue_named("add", [n]).id for n in range(3)]
        until(lambda: are_seen(["queued"] * 3))
        given = httpx2.post(claims, json={"worker": "w", "queues": "default", "slots": 3}).json()
        until(lambda: are_seen(["running"] * 3))
        for job, (what, more, _) in zip(given["jobs"], ENDS, strict=True):
            said = {"jobs": [{"job": job["id"], "token": job["token"], **more}]}
            assert httpx2.post(f"{claims}/{given['claim']}/{what}", json=said).status_code == 200
        until(lambda: are_seen([state for _, _, state in ENDS]))


def test_a_stream_ends_when_its_token_is_revoked(store_url: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    ann, bob = (
        {"Authorization": f"Bearer {tokens_file.create(path, name, Role.VIEWER)}"}
        for name in ("ann", "bob")
    )
    app = Jobpipe(store_url, tokens_file=str(path))
    with (
        in_thread(app) as base,
        reading(base, **ann) as revoked,
        reading(base, f"{PATH}?job=77", **ann) as silent,
        reading(base, **bob) as valid,
    ):
        assert tokens_file.revoke(path, "ann")
        assert revoked.ended.wait(5)
        assert silent.ended.wait(5)
        assert not valid.ended.is_set()
        assert httpx2.get(f"{base}{PATH}", headers=ann).status_code == 401
        app.pause_queue("q")
        until(lambda: valid.of("queue"))
    app.close()


def test_silence_is_broken_by_a_comment(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SILENCE_SECONDS", 1)
    with reading(served, f"{PATH}?job=77&topics=queue") as stream:
        until(lambda: len(stream.blocks) > 1)
        assert stream.blocks[1].keys() == {"", "id"}


@pytest.mark.parametrize("query", ["topics=weather", "topics=", "job=0", "job=x", "other=1"])
def test_what_is_not_there_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"{PATH}?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_head_ends_at_once(client: TestClient) -> None:
    answer = client.head(PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_streams_end_with_the_service(app: Jobpipe) -> None:
    service, loops = asgi(app), list[asyncio.AbstractEventLoop]()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await service(scope, receive, send)

    with served_by(watched) as base, reading(base) as one, reading(base) as other:
        loops[0].call_soon_threadsafe(service.condition.stop)
        assert one.ended.wait(10)
        assert other.ended.wait(10)
        with reading(base) as late:
            assert late.ended.wait(10)


def test_what_ends_with_a_service_is_told_once() -> None:
    condition, told = Condition(), list[str]()
    keep = condition.when_stopping(lambda: told.append("kept"))
    condition.when_stopping(lambda: told.append("one"))
    keep()
    condition.stop()
    condition.when_stopping(lambda: told.append("late"))
    assert told == ["one", "late"]


def test_open_streams_are_counted(client: TestClient) -> None:
    def counted() -> str:
        lines = client.get("/metrics").text.splitlines()
        return next(line for line in lines if line.startswith("jobpipe_http_streams "))

    service: Any = client.app
    assert client.portal is not None
    with ThreadPoolExecutor() as threads:
        stream = threads.submit(client.get, PATH)
        until(lambda: counted() == "jobpipe_http_streams 1.0")
        client.portal.call(service.condition.stop)
        assert stream.result(timeout=10).status_code == 200
    assert counted() == "jobpipe_http_streams 0.0"


def test_readers_who_leave_are_forgotten(app: Jobpipe, served: str) -> None:
    streams = [Stream(served) for _ in range(20)]
    until(lambda: all(stream.blocks for stream in streams))
    watching = app._watching
    assert watching is not None
    assert watching._log.has_readers
    for stream in streams:
        stream.close()
    until(lambda: not watching._log.has_readers)
