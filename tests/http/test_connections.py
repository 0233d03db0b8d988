"""Raw sockets against the server: what is no proper request gets a 4xx or a closed connection.

After each case a good request on a new connection is served.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from jobpipe import Jobpipe
from jobpipe.config.load import load_settings
from jobpipe.http import limits
from jobpipe.http.asgi import asgi
from jobpipe.http.protocol import Protocol
from jobpipe.http.server import Server, config_of
from tests.waiting import until

HOST = b"Host: 127.0.0.1\r\n"
GOOD = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Served:
    """A server in a thread of this process, on its own socket."""

    def __init__(self, application: ASGIApp) -> None:
        config = config_of(application, load_settings(environ={}))
        config.timeout_keep_alive = 1
        self.server = Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        arguments = {"sockets": [self._listener]}
        self._thread = threading.Thread(target=self.server.run, kwargs=arguments, daemon=True)
        self._thread.start()
        until(lambda: self.server.started)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join()

    def connect(self) -> socket.socket:
        opened = socket.create_connection(self.address)
        opened.settimeout(10)
        return opened

    def ask(self, *parts: bytes) -> bytes:
        """Send, then return all that comes until the server closes."""
        with self.connect() as opened:
            for part in parts:
                opened.sendall(part)
            return rest(opened)


def rest(opened: socket.socket) -> bytes:
    came = b""
    try:
        while part := opened.recv(65_536):
            came += part
    except ConnectionResetError:
        pass
    return came


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    application = Jobpipe(f"sqlite:///{tmp_path}/jobs.db")
    served = Served(asgi(application))
    yield served
    assert statuses(served.ask(GOOD[:-2] + b"Connection: close\r\n\r\n")) == [200]
    served.stop()
    application.close()


MALFORMED = {
    "a line of HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0 as a version": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a lower-case method": b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "TRACE": b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n",
    "RTSP": b"DESCRIBE / RTSP/1.0\r\n" + HOST + b"\r\n",
    "an absolute target": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /health#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in the target": b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target that is not ASCII": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long target": b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "no Host": b"GET /health HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /health HTTP/1.1\r\n" + HOST + b"Host: b\r\n\r\n",
    "bare line feeds": b"GET /health HTTP/1.1\nHost: 127.0.0.1\n\n",
    "one bare line feed": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\nX: y\r\n\r\n",
    "a bare carriage return": b"GET /health HTTP/1.1\r\nX: a\rY: b\r\n" + HOST + b"\r\n",
    "a folded header": b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "a blank before the colon": b"GET /health HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n",
    "NUL in a value": b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "NUL in a name": b"GET /health HTTP/1.1\r\n" + HOST + b"X\0: a\r\n\r\n",
    "a large head": b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 33_000 + b"\r\n\r\n",
    "a head without end": b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000,
    "many headers": b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 101 + b"\r\n",
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a giant length": POST + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "another coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding that is none": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a giant chunk": CHUNKED + b"fffffffffffffffff\r\n{}",
    "a chunk that is no number": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk with 0x": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk ended by a line feed": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
    "a length in the trailer": CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_proper_request_is_refused(service: Served, case: str) -> None:
    answer = service.ask(MALFORMED[case])
    assert all(400 <= status < 500 for status in statuses(answer)), answer
    assert len(statuses(answer)) <= 1
    if answer:
        assert b"\r\nconnection: close\r\n" in answer
        assert b"application/problem+json" in answer
        assert b"\r\nx-content-type-options: nosniff\r\n" in answer
        (id,) = re.findall(rb"\r\nx-request-id: ([0-9a-f]{16})\r\n", answer)
        assert b'"request_id":"%b"' % id in answer


def test_requests_in_one_piece_are_answered_in_order(service: Served) -> None:
    missing = GOOD.replace(b"/health", b"/missing")
    last = GOOD[:-2] + b"Connection: close\r\n\r\n"
    answer = service.ask(GOOD + missing + last + GOOD)
    assert statuses(answer) == [200, 404, 200]  # nothing is read after the last


def test_what_stands_before_a_bad_request_is_answered_first(service: Served) -> None:
    assert statuses(service.ask(GOOD + GOOD + b"NONSENSE\r\n\r\n")) == [200, 200]


def test_no_request_is_hidden_in_the_body_of_another(service: Served) -> None:
    inner = GOOD.replace(b"/health", b"/missing")
    length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(inner)
    assert statuses(service.ask(POST + length + inner)) == [400]


def test_a_trailer_is_no_header(service: Served) -> None:
    trailer = b"2\r\n{}\r\n0\r\nHost: evil.example\r\nX-Request-Id: forged\r\n\r\n"
    answer = service.ask(CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + trailer)
    assert statuses(answer) == [422]  # and not 400 for a second Host
    assert b"forged" not in answer


def test_another_protocol_is_not_taken_up(service: Served) -> None:
    upgrade = GOOD[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = service.ask(upgrade + GOOD)
    assert statuses(answer) == [200]
    assert b"\r\nconnection: close\r\n" in answer


def test_a_refused_head_is_told_though_more_is_sent(service: Served) -> None:
    flood = [b"X: " + b"a" * 60_000 for _ in range(20)]
    assert statuses(service.ask(b"GET /health HTTP/1.1\r\n", *flood)) in ([431], [])


@pytest.mark.parametrize(
    "begun",
    [b"", b"\r\n", b"GET /hea", GOOD[:-2], GOOD + b"GET", GOOD + b"\r\n"],
    ids=["silence", "blank", "line", "headers", "second head", "blank after a request"],
)
def test_a_head_has_its_time(
    service: Served, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.1)
    answer = service.ask(begun)
    assert statuses(answer) in ([408], [200], [200, 408])


@pytest.mark.parametrize("trickle", [b"", b"1"])
def test_a_body_must_come_on(
    service: Served, monkeypatch: pytest.MonkeyPatch, trickle: bytes
) -> None:
    monkeypatch.setattr(limits, "PROGRESS_SECONDS", 0.2)
    answer = service.ask(POST + b"Content-Length: 5000\r\n\r\n{", trickle)
    assert statuses(answer) == [408]


def test_a_body_has_its_time_however_well_it_comes(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROGRESS_SECONDS", 0.1)
    monkeypatch.setattr(limits, "PROGRESS_BYTES", 0)
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    assert statuses(service.ask(POST + b"Content-Length: 5000\r\n\r\n{")) == [408]


def test_an_idle_connection_is_closed_without_a_word(service: Served) -> None:
    service.server.config.timeout_keep_alive = 0
    with service.connect() as opened:
        opened.sendall(GOOD)
        assert statuses(rest(opened)) == [200]


def test_a_body_that_nobody_wants_is_read_to_a_bound(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNWANTED_MAX", 1000)
    head = b"POST /missing HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
    with service.connect() as opened:  # a small one: the connection goes on
        opened.sendall(head % 10)
        assert statuses(opened.recv(65_536)) == [404]
        opened.sendall(b"x" * 10 + GOOD)
        assert statuses(opened.recv(65_536)) == [200]
    with service.connect() as opened:
        opened.sendall(head % 1_000_000)
        assert statuses(opened.recv(65_536)) == [404]
        opened.sendall(b"x" * 2000)
        assert rest(opened) == b""


def test_connections_and_requests_have_a_bound(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "connections_max", 1)
    with service.connect() as first:
        first.sendall(GOOD)
        assert statuses(first.recv(65_536)) == [200]
        answer = service.ask()
        assert statuses(answer) == [503]
        assert b'"code":"busy"' in answer
    until(lambda: not service.server.server_state.connections)
    monkeypatch.setattr(limits, "REQUESTS_MAX", 0)
    assert statuses(service.ask(GOOD)) == [503]
    monkeypatch.undo()


def test_half_a_request_and_a_cut_harm_nobody(service: Served) -> None:
    for part in (b"GET", GOOD[:-2], POST + b"Content-Length: 100\r\n\r\n{", CHUNKED + b"5\r\nab"):
        with service.connect() as opened:
            opened.sendall(part)
    until(lambda: not service.server.server_state.connections)


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without end; the lifespan is nobody's business."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while (await receive())["type"] != "http.disconnect":
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRITE_SECONDS", 0.2)
    served = Served(endless)
    with served.connect() as opened:
        opened.sendall(GOOD)
        until(lambda: _paused(served))
        until(lambda: not served.server.server_state.connections)
    served.stop()


def _paused(served: Served) -> bool:
    connections = list(served.server.server_state.connections)
    return any(isinstance(each, Protocol) and each.flow.write_paused for each in connections)


def test_no_answer_names_the_software(service: Served) -> None:
    answer = service.ask(GOOD[:-2] + b"Connection: close\r\n\r\n")
    assert b"\r\nserver:" not in answer.lower()
    assert b"\r\ndate: " in answer.lower()
