"""What stands around the application: pages of other sites, the log of requests."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from jobpipe import Jobpipe
from jobpipe.cli.verbs.serve import needing_the_extra
from jobpipe.config.load import load_settings
from jobpipe.errors import ConfigError
from jobpipe.http.access_log import AccessLog
from jobpipe.http.asgi import asgi
from jobpipe.http.cors import Cors
from jobpipe.http.limits import most_connections
from jobpipe.http.server import config_of
from tests.http.conftest import LOOPBACK

APP = b"https://app.example"
Asked = tuple[int, dict[bytes, bytes]]


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    scope.update({"jobpipe.request_id": "r-7", "jobpipe.who": "ann"})  # as the service does
    headers = [(b"cross-origin-resource-policy", b"same-origin"), (b"etag", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def asked(app: Any, method: str = "GET", **headers: bytes) -> Asked:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nobody reads a body here")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "/api/v1/jobs",
        "query_string": b"key=s3cret",
        "client": ("10.0.0.9", 1),
        "headers": [(name.replace("_", "-").encode(), value) for name, value in headers.items()],
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_a_named_origin_may_read_the_answer() -> None:
    status, headers = asked(Cors(plain, ["https://app.example"]), origin=APP)
    assert status == 200
    assert headers[b"access-control-allow-origin"] == APP
    assert headers[b"vary"] == b"origin"
    assert headers[b"cross-origin-resource-policy"] == b"cross-origin"
    assert b"etag" in headers[b"access-control-expose-headers"]


@pytest.mark.parametrize("origin", [b"https://app.example.evil", b"http://app.example", b"null"])
def test_no_other_origin_may(origin: bytes) -> None:
    for method in ("GET", "OPTIONS"):
        asks = {"origin": origin, "access_control_request_method": b"POST"}
        _, headers = asked(Cors(plain, ["https://app.example"]), method, **asks)
        assert not [name for name in headers if name.startswith(b"access-control")]
        assert headers[b"cross-origin-resource-policy"] == b"same-origin"


def test_a_preflight_is_answered_for_a_named_origin() -> None:
    app = Cors(plain, ["https://app.example"])
    status, headers = asked(app, "OPTIONS", origin=APP, access_control_request_method=b"POST")
    assert status == 204
    assert headers[b"access-control-allow-origin"] == APP
    assert b"authorization" in headers[b"access-control-allow-headers"]
    assert b"access-control-allow-credentials" not in headers


def test_the_log_tells_of_requests_and_of_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jobpipe")
    asked(AccessLog(plain), authorization=b"Bearer s3cret")
    (record,) = caplog.records
    fields = getattr(record, "jobpipe", {})
    assert fields.pop("seconds") >= 0
    assert fields == {
        "event": "RequestServed",
        "request_id": "r-7",
        "who": "ann",
        "client": "10.0.0.9",
        "method": "GET",
        "path": "/api/v1/jobs",
        "status": 200,
    }
    assert "s3cret" not in record.getMessage()


def test_the_log_names_the_request_as_its_answer_does(
    app: Jobpipe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobpipe")
    service = AccessLog(asgi(app))
    with TestClient(service, base_url=LOOPBACK, client=("127.0.0.1", 1)) as client:
        served, refused = client.get("/api/v1/counts"), client.get("/api/v1/counts?x=1")
        denied = client.get("/api/v1/counts", headers={"Host": "evil.example"})
    fields = [getattr(record, "jobpipe", {}) for record in caplog.records]
    told = [
        (each["request_id"], each["who"], each["status"])
        for each in fields
        if each.get("event") == "RequestServed"
    ]
    assert told == [
        (served.headers["x-request-id"], "anonymous", 200),
        (refused.json()["request_id"], "anonymous", 422),
        (denied.json()["request_id"], "", 421),
    ]


def test_a_missing_extra_is_named() -> None:
    with (
        pytest.raises(ConfigError, match="needs uvicorn_of_nobody, which is not") as told,
        needing_the_extra(),
    ):
        import uvicorn_of_nobody  # noqa: F401
    assert 'pip install "jobpipe[server]"' in told.value.help


def test_descriptors_are_kept_for_the_rest() -> None:
    assert 256 <= most_connections() <= 20_000


@pytest.mark.parametrize(
    "trusted,seen", [("", "10.0.0.9"), ("10.0.0.9", "192.0.2.7"), ("10.0.0.0/24", "192.0.2.7")]
)
def test_only_a_trusted_proxy_says_who_calls(
    trusted: str, seen: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobpipe")
    given = {"JOBPIPE_TRUSTED_PROXIES": trusted, "JOBPIPE_ACCESS_LOG": "on"}
    config = config_of(plain, load_settings(environ=given, directory=tmp_path))
    config.load()
    asked(config.loaded_app, x_forwarded_for=b"192.0.2.7")
    (record,) = caplog.records
    assert getattr(record, "jobpipe", {})["client"] == seen
