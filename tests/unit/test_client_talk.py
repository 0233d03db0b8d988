"""What is said to a service, and when it is said again: the test plays the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from jobpipe import errors
from jobpipe.app import asks
from jobpipe.app.ask import Exchange, Request, one
from jobpipe.client import problems
from jobpipe.client.talk import TRIES, Pause, Reply, Send, Silence, Talk, talk
from jobpipe.errors import (
    ConfigError,
    DuplicateKey,
    Forbidden,
    InvalidArguments,
    JobNotFound,
    JobpipeError,
    QueueFull,
    StoreUnavailable,
    Unauthorized,
)
from jobpipe.tasks.registry import Registry

GET = Request(path="/api/v1/counts", answer=dict[str, int])
CANCEL = Request(method="POST", path="/api/v1/jobs/1/cancel", answer=dict[str, int])
KEYED = Request(
    method="POST", path="/api/v1/jobs", body={"task": "t"}, answer=dict[str, int], repeatable=True
)
GOOD = Reply(200, {}, b'{"n":1}')
GONE = Silence("Connection refused", unsent=True)
CUT = Silence("Server disconnected", unsent=False)


def problem(status: int, code: str, detail: str = "no", **headers: str) -> Reply:
    body = {"code": code, "title": "", "detail": detail, "help": "Do this.", "request_id": "r"}
    return Reply(status, {name.replace("_", "-"): v for name, v in headers.items()}, _json(body))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


STOPPING = problem(503, "stopping", retry_after="1")


class Played:
    """Carries a talk: answers each request with the next of what the service says."""

    def __init__(self, *says: Reply | Silence) -> None:
        self._says: Iterator[Reply | Silence] = iter(says)
        self.sent: list[Send] = []
        self.pauses: list[float] = []

    def follow(self, request: Request) -> Any:
        return self.carry(talk(one(request, lambda answer: answer)(), "http://here"))

    def carry(self, steps: Talk[Any]) -> Any:
        heard: Reply | Silence | None = None
        try:
            while True:
                step = steps.send(heard)
                heard = None
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                else:
                    self.sent.append(step)
                    heard = next(self._says)
        except StopIteration as end:
            return end.value


def test_an_answer_is_read_as_the_type_that_the_request_names() -> None:
    played = Played(GOOD)
    assert played.follow(GET) == {"n": 1}
    assert played.sent == [Send("GET", "/api/v1/counts", None, 0.0)]


def test_parameters_that_are_none_are_left_out_and_others_are_quoted() -> None:
    played = Played(GOOD)
    query = {"task": "a b&c=ü", "state": None, "limit": 5}
    played.follow(Request(path="/p", query=query, answer=dict[str, int]))
    assert played.sent[0].target == "/p?task=a+b%26c%3D%C3%BC&limit=5"


@pytest.mark.parametrize("request_", [GET, KEYED], ids=["get", "keyed"])
@pytest.mark.parametrize("first", [GONE, CUT, STOPPING, problem(504, ""), Reply(502)])
def test_what_may_be_repeated_is_repeated_until_it_is_answered(
    request_: Request, first: Reply | Silence
) -> None:
    played = Played(first, first, GOOD)
    assert played.follow(request_) == {"n": 1}
    assert len(played.sent) == 3
    assert played.sent[0] == played.sent[1] == played.sent[2]


def test_a_body_is_sent_as_json_beside_the_headers_asked_for() -> None:
    played = Played(GOOD)
    played.follow(
        Request(method="PATCH", path="/p", body={"n": 1}, headers={"if-match": '"7"'}, answer=None)
    )
    (send,) = played.sent
    assert send.body == b'{"n":1}'
    assert send.headers == {"content-type": "application/json", "if-match": '"7"'}


def test_an_order_for_one_version_of_a_job_says_so() -> None:
    patch = asks.patch(1, 5, if_version="a1", known=Registry(), max_payload=1)
    for ask in (asks.cancel(1, "a1"), asks.rerun(1, "a1"), patch):
        send = next(talk(ask.exchange(), "http://here"))
        assert isinstance(send, Send)
        assert send.headers["if-match"] == '"a1"'


def test_pauses_grow_and_keep_to_what_the_service_asks() -> None:
    played = Played(GONE, GONE, GONE, GONE, GOOD)
    played.follow(GET)
    for pause, longest in zip(played.pauses, [0.2, 0.4, 0.8, 1.6], strict=True):
        assert longest / 2 <= pause <= longest
    asked = Played(problem(503, "stopping", retry_after="7"), GOOD)
    asked.follow(GET)
    assert asked.pauses == [7.0]


def test_a_service_that_asks_for_minutes_is_not_waited_for() -> None:
    played = Played(problem(503, "store_unavailable", retry_after="600"))
    with pytest.raises(StoreUnavailable):
        played.follow(GET)
    assert played.pauses == []


def test_after_the_last_try_the_service_is_called_unreachable() -> None:
    played = Played(*[GONE] * TRIES)
    with pytest.raises(StoreUnavailable, match="http://here does not answer: Connection") as told:
        played.follow(KEYED)
    assert (len(played.sent), told.value.outcome_unknown) == (TRIES, False)


def test_what_may_have_been_done_is_not_done_twice() -> None:
    played = Played(CUT)
    with pytest.raises(StoreUnavailable, match="whether it did what was asked") as told:
        played.follow(CANCEL)
    assert (len(played.sent), told.value.outcome_unknown) == (1, True)
    with pytest.raises(StoreUnavailable) as told:
        Played(problem(503, "store_unavailable")).follow(CANCEL)
    assert told.value.outcome_unknown


@pytest.mark.parametrize("code", ["stopping", "busy"])
def test_what_the_service_has_not_begun_is_asked_for_again(code: str) -> None:
    refused = problem(503, code, retry_after="1")
    assert Played(refused, GOOD).follow(CANCEL) == {"n": 1}
    played = Played(*[refused] * TRIES)
    with pytest.raises(StoreUnavailable) as told:
        played.follow(CANCEL)
    assert (len(played.sent), told.value.outcome_unknown) == (TRIES, False)


@pytest.mark.parametrize("first", [GONE, STOPPING])
def test_what_was_surely_not_done_is_asked_for_again(first: Reply | Silence) -> None:
    assert Played(first, GOOD).follow(CANCEL) == {"n": 1}


def test_a_full_queue_is_told_at_once() -> None:
    played = Played(problem(429, "queue_full", "queue 'a' is full", retry_after="1"))
    with pytest.raises(QueueFull, match="queue 'a' is full"):
        played.follow(KEYED)
    assert len(played.sent) == 1


def test_every_error_of_the_library_comes_back_as_itself() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    known = {each for each in kinds if issubclass(each, JobpipeError)}
    assert set(problems.BY_CODE.values()) == known
    for kind in known:
        played = Played(*[problem(409, kind.code, "as told")] * TRIES)
        with pytest.raises(kind, match="as told") as told:
            played.follow(CANCEL)
        assert type(told.value) is kind
        assert told.value.help == "Do this."


@pytest.mark.parametrize(
    "reply, kind, words",
    [
        (problem(401, "unauthorized", "no token"), Unauthorized, "no token"),
        (problem(429, "too_many_tries", "wrong", retry_after="60"), Unauthorized, "wrong"),
        (problem(403, "forbidden", "the role viewer may not"), Forbidden, "the role viewer"),
        (problem(422, "invalid_body", "a field too many"), InvalidArguments, "a field too many"),
        (problem(404, "not_found", "nothing is here"), ConfigError, "nothing is here"),
        (Reply(404, {}, b"<html>"), ConfigError, "http://here answers 404 Not Found"),
        (Reply(500, {}, b"oops"), JobpipeError, "answers 500 Internal Server Error"),
        (Reply(307, {"location": "http://x"}), ConfigError, "sends us elsewhere"),
        (Reply(200, {}, b"<html>"), ConfigError, "does not understand"),
        (Reply(200, {}, b'{"n":"one"}'), ConfigError, "does not understand"),
    ],
)
def test_what_else_a_service_says_is_told_as_what_it_means(
    reply: Reply, kind: type[JobpipeError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        Played(reply).follow(GET)


def test_the_id_of_a_request_is_told_with_its_error() -> None:
    reply = problem(409, "duplicate_key", x_request_id="abc-1")
    with pytest.raises(DuplicateKey) as told:
        Played(reply).follow(KEYED)
    assert told.value.__notes__ == ["The service logs it as request abc-1."]


def test_an_exchange_may_take_an_error_for_an_answer() -> None:
    missing = problem(404, "job_not_found")
    asked = asks.attempts(7)
    assert Played(missing).carry(talk(asked.exchange(), "http://here")) == []
    with pytest.raises(JobNotFound):
        Played(missing).carry(talk(asks.job(7).exchange(), "http://here"))


def test_long_lists_are_asked_for_in_pages() -> None:
    def page(first: int, n: int, cursor: str | None) -> Reply:
        lines = [
            {"job_id": 1, "attempt": 1, "token": 1, "number": first + i, "level": "level 25"}
            | {"time": "1970-01-01T00:00:01.000002Z", "logger": "l", "message": "m", "fields": None}
            for i in range(n)
        ]
        return Reply(200, {}, _json({"items": lines, "next_cursor": cursor}))

    played = Played(page(6, 1000, "1:1005"), page(1006, 500, None))
    asked = asks.logs(1, (1, 5), 1500, None)
    lines = played.carry(talk(asked.exchange(), "http://here"))
    assert [line.number for line in lines] == list(range(6, 1506))
    assert (lines[0].at, lines[0].level) == (1_000_002, 25)
    assert [send.target.partition("?")[2] for send in played.sent] == [
        "limit=1000&cursor=1%3A5",
        "limit=500&cursor=1%3A1005",
    ]


def test_an_exchange_that_is_given_up_is_closed() -> None:
    closed: list[bool] = []

    def exchange() -> Exchange[None]:
        try:
            yield GET
        finally:
            closed.append(True)

    steps = talk(exchange(), "http://here")
    next(steps)
    steps.close()
    assert closed == [True]
