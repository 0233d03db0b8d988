"""A store for applications, on each store and in each style."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobpipe import Jobpipe
from tests.conformance.app.site import Site
from tests.conformance.clock import MovedClock
from tests.conformance.conftest import find_place
from tests.conformance.drivers import DRIVERS
from tests.conformance.loop import LoopThread


@pytest.fixture(params=DRIVERS)
def site(
    request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock, loop_thread: LoopThread
) -> Iterator[Site]:
    """A store on which nothing is yet."""
    store, style = request.param.split("-")
    place = find_place(store, request, tmp_path)
    site = Site(place, clock, loop_thread if style == "async" else None)
    yield site
    site.close()


@pytest.fixture
def jp(site: Site) -> Jobpipe:
    """An application on that store."""
    return site.jobpipe()
