"""A key that is taken goes to whoever asks last."""

from __future__ import annotations

from tests.process.planted.statements import rewrite


def plant() -> None:
    rewrite(
        "sqlite",
        "hold_keys",
        ("DO NOTHING", "DO UPDATE SET job_id = excluded.job_id"),
    )
