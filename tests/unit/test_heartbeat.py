"""Who has just begun, and whether it may take others' leases for ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

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
