"""What is asked of stored jobs and queues is checked before the store hears of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobpipe.app import requests
from jobpipe.app.filters import job_filter
from jobpipe.app.queue_asks import QueueChange, change_queue
from jobpipe.errors import InvalidArguments, JobNotFound
from jobpipe.model.filter import MOST, Filter, Term
from jobpipe.model.state import State

NAIVE = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)


@pytest.mark.parametrize("id", [1, 2**63 - 1])
def test_an_id_is_a_whole_number(id: int) -> None:
    assert requests.job_id(id) == id


@pytest.mark.parametrize("id", [0, -1, 2**63])
def test_beyond_all_ids_there_is_no_job(id: int) -> None:
    with pytest.raises(JobNotFound, match=f"no job {id}$"):
        requests.job_id(id)


@pytest.mark.parametrize("id", ["1", 1.5, True, None])
def test_an_id_of_another_type_is_refused(id: object) -> None:
    with pytest.raises(InvalidArguments, match="a whole number, not "):
        requests.job_id(id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "done"},
        {"queue_name": "a b"},
        {"queue_name": "\udcff"},
        {"tag": "a\x00b"},
        {"group": 5},
        {"created_after": NAIVE},
        {"created_before": "yesterday"},
        {"task": "a\x00b"},
        {"task": ""},
        {"before": "9"},
        {"before": 0},
        {"limit": 0},
        {"limit": -1},
        {"limit": "5"},
        {"limit": 2**64},
    ],
)
def test_a_wrong_filter_is_refused_and_named(wrong: dict[str, Any]) -> None:
    option = next(iter(wrong))
    with pytest.raises(InvalidArguments, match=f"option {option}=.* is refused; allowed: "):
        job_filter(**wrong)


@pytest.mark.parametrize("name", ["", "a b", "\udcff", 5, None])
def test_only_a_queue_is_paused_and_resumed(name: object) -> None:
    with pytest.raises(InvalidArguments, match="option name="):
        change_queue(name, QueueChange(paused=True))  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="option name="):
        change_queue(name, QueueChange(paused=False))  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["", "a\x00b", "\udcff", "x" * 201, 5])
def test_a_reason_is_a_short_text(reason: object) -> None:
    with pytest.raises(InvalidArguments, match="option reason="):
        change_queue("mail", QueueChange(paused=True, reason=reason))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name, wrong",
    [
        ("after", 5),
        ("after", (1,)),
        ("after", (1, -1)),
        ("after", (1, 2**31)),
        ("after", (True, 1)),
        ("limit", 0),
        ("limit", "10"),
        ("token", 0),
        ("token", 2**63),
    ],
)
def test_a_wrong_question_for_a_log_is_refused_and_named(name: str, wrong: object) -> None:
    asked: dict[str, Any] = {"after": None, "limit": 10, "token": None, name: wrong}
    with pytest.raises(InvalidArguments, match=f"option {name}=.* is refused; allowed: "):
        requests.read_log(1, **asked)


def test_a_right_question_for_a_log_is_asked() -> None:
    assert requests.read_log(1, (0, 0), 1, 5).name == "read_log"
    assert requests.read_log(1, None, 1_000_000, None).name == "read_log"


def test_words_and_options_make_one_filter() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    found = job_filter(q="state:failed task:mail.*", tag="eu", created_after=noon)
    assert set(found.terms) == {
        Term(word="state", values=("failed",)),
        Term(word="task", starts=("mail.",)),
        Term(word="tag", values=("eu",)),
        Term(word="created", lows=(1_767_268_800_000_000,), highs=(MOST,)),
    }
    assert found.states == {State.FAILED}
    assert found.created_after == 1_767_268_800_000_000
    once = (Term(word="task", values=("mail.send",)),)
    assert job_filter(task="mail.send", q="task:mail.send").terms == once
    assert job_filter(task="mail.*") == job_filter(q="task:mail.*")
    assert job_filter(task="*", q="task:*").terms == (Term(word="task", starts=("",)),)
    assert job_filter() == Filter()


def test_words_and_options_that_differ_are_refused() -> None:
    with pytest.raises(InvalidArguments, match="no job has both") as told:
        job_filter(state="queued", q="state:failed")
    assert told.value.help.startswith("Say it in one place")
    with pytest.raises(InvalidArguments, match="position 7: 'done' is no state"):
        job_filter(q="state:done")


@pytest.mark.parametrize(
    "wrong, what",
    [
        ({}, "nothing is to change"),
        ({"priority": 101}, "option priority=101"),
        ({"queue_name": "a b"}, "option queue_name="),
        ({"run_at": NAIVE}, "option run_at="),
    ],
)
def test_a_wrong_change_of_a_job_is_refused(wrong: dict[str, Any], what: str) -> None:
    change = {"priority": None, "queue_name": None, "run_at": None, **wrong}
    with pytest.raises(InvalidArguments, match=what):
        requests.patch(**change)
