"""One connection: requests are read strictly, bounded, and within time.

The parser refuses what two readers might read differently (bare line feeds, folded headers, a
length beside chunks). What it lets pass and we do not is refused here.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from jobpipe.http import limits, problems
from jobpipe.http.problems import Problem
from jobpipe.http.service import SECURITY, new_id

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
HEAD: Final = "head"
BODY: Final = "body"
BETWEEN: Final = "between"


class Protocol(HttpToolsProtocol):
    """Reads requests and hands them to the application."""

    connections_max = limits.CONNECTIONS_MAX
    """Set by the server to what the system allows."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = httptools.HttpRequestParser(self)  # without the leniencies of the base
        self._part: str = BETWEEN
        self._is_deaf = False
        """Whatever still comes is thrown away."""
        self._heads = 0
        """How many heads have begun."""
        self._head_bytes = 0
        self._body_bytes = 0
        self._unwanted_bytes = 0
        """How much of the body came after the answer."""
        self._seen_bytes = 0
        """How much of the body had come when its progress was looked at last."""
        self._body_ends = 0.0
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; one connection too many is told so."""
        super().connection_made(cast(asyncio.Transport, transport))
        if len(self.connections) > self.connections_max:
            self._refuse(_busy())
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; nothing fires later."""
        self._is_deaf = True
        self._disarm()
        if self._writing is not None:
            self._writing.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Read what came; of a head no more at once than it may have."""
        self._unset_keepalive_if_required()
        while data and not self._is_deaf:
            size = len(data) if self._part == BODY else limits.HEAD_MAX
            piece, data = data[:size], data[size:]
            heads = self._heads
            self._feed(piece)
            if self._part == HEAD and self._heads == heads:
                self._head_bytes += len(piece)
                if self._head_bytes > limits.HEAD_MAX:
                    self._refuse(_head_too_large())
        if not self._is_deaf:
            self._watch()

    def _feed(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._end_after_this()  # no other protocol is spoken here
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Problem) else _malformed("its target"))
        except httptools.HttpParserError as error:
            self._refuse(_malformed(str(error)))

    # What the parser tells

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._part, self._head_bytes = HEAD, 0
        self._heads += 1

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        super().on_url(url)
        if len(self.url) > limits.URL_MAX:
            detail = f"the target is longer than {limits.URL_MAX:,} bytes"
            raise Problem(414, "target_too_long", detail)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what stands after a body (a trailer) is left out."""
        if self._part == BODY:
            return
        super().on_header(name, value)
        if len(self.headers) > limits.HEADERS_MAX:
            raise _head_too_large()

    def on_headers_complete(self) -> None:
        """Judge the head, then hand the request on."""
        version = self.parser.get_http_version()
        check_head(self.parser.get_method(), self.url, version, self.headers)
        if len(self.tasks) >= limits.REQUESTS_MAX or len(self.pipeline) >= limits.PIPELINE_MAX:
            raise _busy()
        super().on_headers_complete()
        self._disarm()
        self._part = BODY
        self._body_bytes = self._seen_bytes = self._unwanted_bytes = 0
        self._body_ends = self.loop.time() + limits.BODY_SECONDS

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; of one that is answered already, only so much."""
        self._body_bytes += len(body)
        if self.cycle.response_complete:
            self._unwanted_bytes += len(body)
            if self._unwanted_bytes > limits.UNWANTED_MAX:
                self._end_softly()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request."""
        self._part = BETWEEN
        self._disarm()
        super().on_message_complete()

    # Time

    def _watch(self) -> None:
        """Arm the timer that fits what is awaited, if none is."""
        if self._reading is not None:
            return
        if self._part == BODY:
            later, look = limits.PROGRESS_SECONDS, self._look_at_body
        elif self._part == HEAD or self._unanswered() is None:
            later, look = limits.HEAD_SECONDS, self._head_is_late
        else:
            return
        self._reading = self.loop.call_later(later, look)

    def _disarm(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _head_is_late(self) -> None:
        self._reading = None
        if self.flow.read_paused:  # it is we who do not read
            self._watch()
            return
        detail = f"the head of the request took longer than {limits.HEAD_SECONDS:g} s"
        self._refuse(Problem(408, "request_timeout", detail))

    def _look_at_body(self) -> None:
        self._reading = None
        came = self._body_bytes - self._seen_bytes
        is_late = self.loop.time() > self._body_ends
        if is_late or (came < limits.PROGRESS_BYTES and not self.flow.read_paused):
            self._refuse(Problem(408, "request_timeout", "the body comes too slowly"))
            return
        self._seen_bytes = self._body_bytes
        self._watch()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not for ever."""
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(limits.WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    # The end

    def _refuse(self, problem: Problem) -> None:
        """Refuse what is being read; earlier requests of the connection are answered first."""
        if self._is_deaf:
            return
        if self._part != BODY:
            if self._unanswered() is not None:
                self._end_after_this()
                return
        elif self.cycle.response_started or self.pipeline:  # it cannot be told any more
            self._is_deaf = True
            self.transport.close()
            return
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._write_problem(problem)
        self._end_softly()

    def _end_after_this(self) -> None:
        """Read no more, and close when the last request that was read is answered."""
        self._is_deaf = True
        last = self._unanswered()
        if last is None:
            self.transport.close()
        else:
            last.keep_alive = False

    def _unanswered(self) -> RequestResponseCycle | None:
        """Return the request that was read last, unless it has been answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _end_softly(self) -> None:
        """Close when the client has seen the answer: what he still sends is thrown away."""
        self._is_deaf = True
        self._disarm()
        self.flow.resume_reading()
        if not self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self._reading = self.loop.call_later(limits.LINGER_SECONDS, self.transport.close)

    def _write_problem(self, problem: Problem) -> None:
        request_id = new_id()
        body = msgspec.json.encode(problems.as_json(problem, request_id))
        headers = {**problem.headers, "x-request-id": request_id}
        lines = [STATUS_LINE[problem.status]]
        lines += [b"%b: %b\r\n" % each for each in self.server_state.default_headers]
        lines += [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        lines += [b"%b: %b\r\n" % each for each in SECURITY.items()]
        lines += [b"content-type: %b\r\n" % problems.MEDIA.encode(), b"connection: close\r\n"]
        lines += [b"content-length: %d\r\n\r\n" % len(body), body]
        self.transport.write(b"".join(lines))


def check_head(
    method: bytes, target: bytes, version: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Refuse a head that the parser let pass; raises Problem."""
    if version not in ("1.0", "1.1"):
        raise Problem(400, "malformed_request", "the service speaks HTTP/1.0 and HTTP/1.1")
    if method not in METHODS:
        raise Problem(405, "method_not_allowed", "the service knows no such method")
    if not target.startswith(b"/") or b"#" in target:
        raise _malformed("its target is no path of this service")
    names = [name for name, _ in headers]
    if names.count(b"host") > 1 or (version == "1.1" and b"host" not in names):
        raise _malformed("it needs one Host header")
    coding = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if sum(len(name) + len(value) for name, value in headers) > limits.HEAD_MAX:
        raise _head_too_large()
    if coding and (coding != [b"chunked"] or version == "1.0"):
        raise _malformed("its Transfer-Encoding is not `chunked`")


def _malformed(why: str) -> Problem:
    return Problem(400, "malformed_request", f"the request cannot be read: {why}")


def _head_too_large() -> Problem:
    detail = f"the head is larger than {limits.HEAD_MAX:,} bytes or {limits.HEADERS_MAX} headers"
    return Problem(431, "head_too_large", detail)


def _busy() -> Problem:
    detail = "the service has as many connections or requests as it may"
    return Problem(503, "busy", detail, headers={"Retry-After": "1"})
