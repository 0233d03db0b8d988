"""Who has just begun, and whether it may take others' leases for ended."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from jobpipe.errors import StoreUnavailable
from jobpipe.runtime.heartbeat import Heartbeat


@pytest.mark.parametrize("exclusive_writer", [True, False])
def test_a_newcomer_grants_a_lease_where_all_may_have_waited_for_one_lock(
    exclusive_writer: bool,
) -> None:
    store: Any = SimpleNamespace(capabilities=SimpleNamespace(exclusive_writer=exclusive_writer))
    heartbeat = Heartbeat(
        store, 1, "w", 60.0, lost=lambda: None, doubtful=lambda: None, frontier=dict
    )
    assert heartbeat.was_late() is exclusive_writer


def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    tries = 3
    ended = threading.Event()

    def run(operation: Any) -> bool:
        nonlocal tries
        tries -= 1
        if tries:
            raise StoreUnavailable("away")
        ended.set()
        return True

    capabilities = SimpleNamespace(exclusive_writer=False)
    store: Any = SimpleNamespace(capabilities=capabilities, run=run)
    heartbeat = Heartbeat(
        store, 1, "w", 0.04, lost=lambda: None, doubtful=lambda: None, frontier=dict
    )
    with caplog.at_level("ERROR", "jobpipe"):
        heartbeat.start()
        assert ended.wait(10)
        heartbeat.stop()
    assert len([line for line in caplog.messages if "renewing the lease: away" in line]) == 1
