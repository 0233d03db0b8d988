"""How many random lives are tried, and how long each is."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def lives(examples: int = 200, steps: int = 30) -> settings:
    """Return the profile of a machine: new lives each time, told so that they can be repeated."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=False,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=True,
    )
