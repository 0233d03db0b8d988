"""Servers and stores for every test, and the times of the layers in the summary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.pgbouncer import Pgbouncer
from tests.servers.postgres import PostgresServer

LAYER_SECONDS: defaultdict[str, float] = defaultdict(float)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the whole run, started by the first test that asks for it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database for this test alone."""
    url = postgres_server.create_database()
    yield url
    postgres_server.start()
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: PostgresServer) -> Iterator[Pgbouncer]:
    """One pooler in transaction mode before the server of the run."""
    with Pgbouncer(postgres_server) as pooler:
        yield pooler


@pytest.fixture
def pgbouncer_url(pgbouncer: Pgbouncer, postgres_url: str) -> tuple[str, str]:
    """The same empty database twice: the URL through the pooler, and the direct one."""
    return pgbouncer.url(postgres_url), postgres_url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--layer",
        action="append",
        default=[],
        help="a line about an earlier layer, for the summary",
    )
    parser.addoption(
        "--crash-minutes",
        type=float,
        default=0.0,
        help="how long each random crash run goes on (0: a sample of some seconds)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let what hostile tests wrote pass from one process to the other."""
    return _in_unicode((yield))


def _in_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_in_unicode(key): _in_unicode(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_in_unicode, value))
    return value


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    parts = Path(report.nodeid.split("::", maxsplit=1)[0]).parts
    LAYER_SECONDS["/".join(parts[:2])] += report.duration


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    terminalreporter.section("layers")
    for line in config.getoption("--layer"):
        terminalreporter.write_line(line)
    for name, seconds in sorted(LAYER_SECONDS.items()):
        terminalreporter.write_line(f"{name:<20} {seconds:7.1f} s")
