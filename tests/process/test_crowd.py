"""Twenty threads and eight processes enqueue and work on one SQLite file at the same time."""

from __future__ import annotations

import random

import pytest

from tests.process.scene import Scene

SAMPLE_SECONDS = 8.0


@pytest.mark.timeout(0)
def test_nobody_sees_a_locked_database_and_nothing_is_lost(
    sqlite_scene: Scene, crash_seconds: float
) -> None:
    """The test takes as long as the crowd is to last, and what it left to be done."""
    scene = sqlite_scene
    seconds = crash_seconds or SAMPLE_SECONDS
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    crowd = [scene.producer("crowd", seed=seed, threads=20, seconds=seconds)]
    crowd += [
        scene.producer("crowd", seed=seed + n, threads=2, seconds=seconds) for n in range(1, 9)
    ]
    for process in crowd:
        assert process.wait(seconds + 60) == 0, scene.logs()
    scene.worker()
    scene.settled(60)
    scene.assert_clean()
    answers = [entry.what for entry in scene.entries() if entry.what in ("ok", "fail", "unknown")]
    assert set(answers) == {"ok"}
    assert "locked" not in scene.logs()
    print(f"{len(answers)} jobs")
