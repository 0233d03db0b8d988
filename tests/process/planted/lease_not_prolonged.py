"""A heartbeat says that the worker is there, and leaves its lease as it is."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite("sqlite", "renew", (":now + :lease_us", "lease_until"))
    rewrite("postgres", "renew", (":now + CAST(:lease_us AS bigint)", "lease_until"))
