"""The pytest plugin: the fixture ``jobpipe``. A suite that does not use it pays for one import."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobpipe import Jobpipe
    from jobpipe.testing.kit import Kit


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what stands in the ini file."""
    parser.addini("jobpipe_app", "the application under test, as module:attribute")
    parser.addini("jobpipe_mode", "when its jobs run: manual or inline", default="manual")


@pytest.fixture
def jobpipe_app(pytestconfig: pytest.Config) -> Jobpipe | None:
    """Return the application under test: override it, or name it in the ini file.

    Raises ConfigError when there is none at the place that is named.
    """
    from pkgutil import resolve_name

    from jobpipe.errors import ConfigError

    place = pytestconfig.getini("jobpipe_app")
    try:
        app: Jobpipe | None = resolve_name(place) if place else None
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the ini option jobpipe_app = {place}: {error}",
            help="Name the application as module:attribute; the ini option pythonpath says where"
            " pytest looks for modules.",
        ) from error
    return app


@pytest.fixture
def jobpipe(jobpipe_app: Jobpipe | None, pytestconfig: pytest.Config) -> Iterator[Kit]:
    """Keep the jobs of the application under test in memory, for this test alone."""
    from jobpipe.testing.kit import Kit

    with Kit(jobpipe_app, mode=pytestconfig.getini("jobpipe_mode")) as kit:
        yield kit
