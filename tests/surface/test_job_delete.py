"""``jobpipe job delete``: ended jobs only, a rehearsal, and the question on a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from tests.surface.conftest import Cli


class Terminal(io.StringIO):
    """Somebody who types answers."""

    def isatty(self) -> bool:
        return True


def ended_jobs(cli: Cli, count: int) -> None:
    for number in range(count):
        cli("enqueue", "app.add", f"a={number}")
    cli.worked()


def left(cli: Cli) -> list[int]:
    return [job["id"] for job in cli("job", "list", "--json").json["items"]]


def test_ended_jobs_are_deleted(cli: Cli) -> None:
    ended_jobs(cli, 3)
    assert cli("job", "delete", "1", "--yes") == (0, "1  deleted\n", "")
    assert cli("job", "delete", "2", "3", "--yes", "--json").json["items"] == [
        {"id": 2, "deleted": True},
        {"id": 3, "deleted": True},
    ]
    assert left(cli) == []
    assert cli("job", "show", "1").code == 4


def test_a_rehearsal_deletes_nothing(cli: Cli) -> None:
    ended_jobs(cli, 1)
    assert cli("job", "delete", "1", "--dry-run") == (0, "1  would be deleted\n", "")
    assert cli("job", "delete", "1", "--dry-run", "--json").json == {"id": 1, "deleted": False}
    assert left(cli) == [1]


@pytest.mark.parametrize("words", [["--yes"], ["--dry-run"]])
def test_what_has_not_ended_is_refused_and_keeps_no_other_from_it(
    cli: Cli, words: list[str]
) -> None:
    ended_jobs(cli, 1)
    cli("enqueue", "app.add", "a=1")
    ended = cli("job", "delete", "2", "9", "1", *words)
    assert (ended.code, ended.out.split()[0]) == (5, "1")
    assert ended.err.splitlines() == [
        "Error: job 2 is queued; only a job that has ended can be deleted",
        "Cancel it first: jobpipe job cancel 2",
        "Error: there is no job 9",
        "Check the id; a finished job is pruned when its retention (JOBPIPE_RETENTION) has passed.",
    ]
    assert cli("job", "delete", "9", *words).code == 4


@pytest.mark.parametrize("answer, code, kept", [("y\n", 0, []), ("n\n", 1, [1]), ("\n", 1, [1])])
def test_a_terminal_is_asked(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, kept: list[int]
) -> None:
    ended_jobs(cli, 1)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    ended = cli("job", "delete", "1")
    assert (ended.code, ended.out) == (code, "" if kept else "1  deleted\n")
    assert "Delete job 1 for ever? [y/N]" in ended.err
    assert ("Nothing was deleted." in ended.err) is bool(kept)
    assert left(cli) == kept
