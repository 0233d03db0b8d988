"""What is asked of stored jobs and queues is checked before the store hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from jobpipe.app import requests
from jobpipe.errors import InvalidArguments, JobNotFound

ANY: dict[str, Any] = {"state": None, "queue": None, "task": None, "before": None, "limit": 50}


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
        {"queue": "a b"},
        {"queue": "\udcff"},
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
    option = next(iter(wrong)).replace("queue", "queue_name")
    with pytest.raises(InvalidArguments, match=f"option {option}=.* is refused; allowed: "):
        requests.job_filter(**{**ANY, **wrong})


@pytest.mark.parametrize("name", ["", "a b", "\udcff", 5, None])
def test_only_a_queue_is_paused_and_resumed(name: object) -> None:
    with pytest.raises(InvalidArguments, match="option name="):
        requests.pause(name, None)
    with pytest.raises(InvalidArguments, match="option name="):
        requests.resume(name)


@pytest.mark.parametrize("reason", ["", "a\x00b", "\udcff", "x" * 201, 5])
def test_a_reason_is_a_short_text(reason: object) -> None:
    with pytest.raises(InvalidArguments, match="option reason="):
        requests.pause("mail", reason)


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
