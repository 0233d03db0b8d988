"""A store for applications, on each store and in each style."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobpipe import Jobpipe
from tests.conformance.app.served import Server
from tests.conformance.app.site import Site
from tests.conformance.clock import MovedClock
from tests.conformance.conftest import find_place
from tests.conformance.drivers import DRIVERS
from tests.conformance.loop import LoopThread

HTTP = ["http-sync", "http-async"]
OVER_HTTP = {
    "test_changes",
    "test_commands",
    "test_context",
    "test_enqueue",
    "test_flows",
    "test_operations",
    "test_outcomes",
    "test_pauses",
    "test_queues",
    "test_reports",
    "test_tenants",
    "test_unique",
    "test_values",
}
"""What is about jobs and queues, and so means the same when a service is asked."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    own = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "site" in metafunc.fixturenames and "site" not in own:
        is_asked = metafunc.module.__name__.rpartition(".")[2] in OVER_HTTP
        metafunc.parametrize("site", [*DRIVERS, *(HTTP if is_asked else [])], indirect=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One HTTP server for all applications that are asked over HTTP."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def site(
    request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock, loop_thread: LoopThread
) -> Iterator[Site]:
    """A store on which nothing is yet."""
    store, style = request.param.split("-")
    over_http = store == "http"
    place = find_place("sqlite" if over_http else store, request, tmp_path)
    server = request.getfixturevalue("server") if over_http else None
    site = Site(place, clock, loop_thread if style == "async" else None, server)
    yield site
    site.close()


@pytest.fixture
def jp(site: Site) -> Jobpipe:
    """An application on that store."""
    return site.jobpipe()
