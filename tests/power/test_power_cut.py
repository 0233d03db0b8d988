"""A power cut anywhere loses nothing that was acknowledged, and leaves a store to go on with.

The controls show that the judge sees what is lost when Jobpipe, its settings or the disk are wrong.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from jobpipe.store.sqlite import writer
from tests.power.cut import cut_everywhere, examine, record
from tests.power.judge import Kind

POINTS = 20_000
PROCESSES = 2
SHORT = 10
"""Steps of a life that shows a planted fault."""


@pytest.mark.timeout(600)  # over a minute: 20,000 stores are opened, judged and worked with
def test_nothing_acknowledged_is_lost_at_any_cut() -> None:
    seed = random.SystemRandom().randrange(2**32)
    seeds = [seed + 1000 * n for n in range(PROCESSES)]
    print(f"seeds from {seeds}")
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        reports = list(pool.map(examine, seeds, [POINTS // PROCESSES] * PROCESSES))
    for report in reports:
        print(f"{report.points} points of the seeds {report.seeds}")
    assert [report.findings for report in reports] == [[]] * PROCESSES
    assert sum(report.points for report in reports) >= POINTS


def test_every_kind_of_step_is_cut() -> None:
    """A life has checkpoints, a log that begins anew, and files that come and go."""
    told = Counter(type(event).__name__ for event in record(1))
    for kind in ("Create", "Delete", "Write", "Truncate", "Sync", "Commit", "Promise"):
        assert told[kind] >= 3, told


def test_the_same_seed_makes_the_same_life() -> None:
    """Times and group commits differ from run to run; what is promised does not."""
    first, second = record(7, steps=SHORT), record(7, steps=SHORT)
    assert promises(first) == promises(second)


def test_without_a_sync_at_each_commit_acknowledged_jobs_are_lost() -> None:
    events = record(
        1, steps=SHORT, pragmas={"PRAGMA synchronous = FULL": "PRAGMA synchronous = NORMAL"}
    )
    assert Kind.LOST in kinds_found(events)


def test_on_a_disk_that_only_claims_to_sync_acknowledged_jobs_are_lost() -> None:
    assert Kind.LOST in kinds_found(record(1, steps=SHORT), obeys=False)


def test_a_writer_that_answers_before_it_commits_loses_acknowledged_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit_group, commit = writer.Writer._commit, writer.commit

    def answer_first(self: writer.Writer, group: list[Any]) -> list[Any]:
        def commit_late(connection: Any) -> None:
            for work in group:
                work.succeed()
            commit(connection)

        monkeypatch.setattr(writer, "commit", commit_late)
        commit_group(self, group)
        return []

    monkeypatch.setattr(writer.Writer, "_commit", answer_first)
    events = record(1, steps=SHORT)
    monkeypatch.undo()
    assert Kind.LOST in kinds_found(events)


def kinds_found(events: list[Any], *, obeys: bool = True) -> set[Kind]:
    _, findings = cut_everywhere(events, random.Random(1), obeys=obeys, until=Kind.LOST)
    return {finding.kind for finding in findings}


def promises(events: list[Any]) -> list[Any]:
    return [event for event in events if type(event).__name__ == "Promise"]
