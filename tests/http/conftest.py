"""A service in this very process, on either store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import uvicorn
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from jobpipe import Jobpipe
from jobpipe.http.asgi import asgi
from jobpipe.http.server import listening
from tests.waiting import until

LOOPBACK = "http://127.0.0.1:8000"
STORES = ("sqlite", "postgres")


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store: the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def app(store_url: str) -> Iterator[Jobpipe]:
    """An application with tasks of several shapes."""
    application = Jobpipe(store_url)
    declare(application)
    yield application
    application.close()


@pytest.fixture
def client(app: Jobpipe) -> Iterator[TestClient]:
    """A client of its service; nobody runs the jobs but ``app.drain()``."""
    with TestClient(
        asgi(app), base_url=LOOPBACK, client=("127.0.0.1", 1), raise_server_exceptions=False
    ) as opened:
        yield opened


def declare(application: Jobpipe) -> None:
    @application.task(name="add")
    def add(a: int, b: int = 1) -> int:
        return a + b

    @application.task(name="fail", max_attempts=1)
    def fail() -> None:
        raise ValueError("it failed")

    @application.task(name="say", queue_name="talk", priority=5)
    def say(words: list[str], *, loudly: bool = False) -> str:
        return " ".join(words).upper() if loudly else " ".join(words)


@pytest.fixture
def served(app: Jobpipe) -> Iterator[str]:
    """The URL of the service behind a real socket, in a thread of this process."""
    with in_thread(app) as url:
        yield url


def in_thread(application: Jobpipe) -> AbstractContextManager[str]:
    return served_by(asgi(application))


@contextmanager
def served_by(service: ASGIApp) -> Iterator[str]:
    config = uvicorn.Config(service, port=0, log_level="critical", lifespan="on")
    server = uvicorn.Server(config)
    listener = listening("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
