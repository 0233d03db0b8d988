"""What a service is sent of a call, and how a service understands it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from jobpipe import Jobpipe
from jobpipe.app.requests import call_by_json
from jobpipe.client.enqueue import enqueued, job_body
from jobpipe.client.talk import Send, talk
from jobpipe.errors import ConfigError, InvalidArguments

jp = Jobpipe("http://127.0.0.1:1")


@jp.task(name="plain", queue_name="mail", priority=9, max_attempts=2)
def plain(a: int, b: list[str] | None = None) -> None: ...


@jp.task(name="mixed")
def mixed(a: Any, /, b: Any = 2, *rest: Any, key: Any = None, **more: Any) -> None: ...


@jp.task(name="places")
def places(a: Any, b: Any = 2, /) -> None: ...


def sent(call: Any) -> Any:
    """Return what the body of a call says."""
    return msgspec.json.decode(msgspec.json.encode(job_body(call, "k")))


def test_only_what_a_call_says_is_sent() -> None:
    assert sent(plain.call(1)) == {"task": "plain", "args": {"a": 1}, "idempotency_key": "k"}


def test_every_option_is_sent_in_the_words_of_the_service() -> None:
    moment = datetime(2030, 1, 31, 9, 0, tzinfo=UTC)
    task = plain.using(
        queue_name="x",
        priority=-5,
        run_after=moment,
        max_attempts=7,
        timeout=1.5,
        expires_in=timedelta(minutes=2),
        tags=["t"],
        meta={"m": [1]},
        idempotency_key="own",
    )
    assert sent(task.call(1, ["b"])) == {
        "task": "plain",
        "args": {"a": 1, "b": ["b"]},
        "queue": "x",
        "priority": -5,
        "run_at": "2030-01-31T09:00:00.000000Z",
        "max_attempts": 7,
        "timeout_seconds": 1.5,
        "expires_in_seconds": 120.0,
        "tags": ["t"],
        "meta": {"m": [1]},
        "idempotency_key": "own",
    }
    assert sent(plain.using(run_after=timedelta(seconds=2)).call(1))["delay_seconds"] == 2.0


@pytest.mark.parametrize(
    "call,args",
    [
        (places.call(1), [1]),
        (places.call(1, 3), [1, 3]),
        (mixed.call(1), [1]),
        (mixed.call(1, 2, 3, 4), [1, 2, 3, 4]),
        (mixed.call(1, key=5), {"a": 1, "key": 5}),
        (mixed.call(1, 2, 3, key=5, x=6), {"a": 1, "b": 2, "rest": [3], "key": 5, "x": 6}),
    ],
)
def test_arguments_are_understood_as_they_were_meant(call: Any, args: Any) -> None:
    assert sent(call)["args"] == args
    task = jp.registry.get(call.spec.name)
    assert msgspec.json.decode(call_by_json(task, args, {}).args) == msgspec.json.decode(call.args)


@pytest.mark.parametrize(
    "args,words",
    [({"a": 1, "rest": 5}, "rest takes a list, not 5"), ({"b": 1}, "missing"), ({}, "missing")],
)
def test_names_of_what_goes_by_place_are_checked(args: Any, words: str) -> None:
    with pytest.raises(InvalidArguments, match=words):
        call_by_json(mixed, {"b": 2, **args} if "rest" in args else args, {})


def test_a_task_that_is_not_declared_here_is_sent_as_it_is() -> None:
    assert sent(jp.call_named("theirs", {"x": [1]}, priority=3)) == {
        "task": "theirs",
        "args": {"x": [1]},
        "priority": 3,
        "idempotency_key": "k",
    }
    assert sent(jp.call_named("theirs", [1, "two"]))["args"] == [1, "two"]


def test_wrong_arguments_of_a_declared_task_are_not_sent() -> None:
    with pytest.raises(InvalidArguments, match="argument 'a'"):
        plain.enqueue("one")  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments):
        jp.enqueue_named("plain", {"c": 1})


def test_a_job_of_a_callers_transaction_needs_a_store() -> None:
    with pytest.raises(ConfigError, match="on= a connection needs a store, and http://127"):
        plain.using(on=object()).enqueue(1)


def first_body(calls: list[Any]) -> Any:
    send = next(talk(enqueued(calls), "there"))
    assert isinstance(send, Send)
    assert send.body is not None
    return msgspec.json.decode(send.body)


def test_each_job_has_a_key_of_its_own_unless_the_caller_gives_one() -> None:
    made = first_body([plain.call(1)])["idempotency_key"]
    assert re.fullmatch("auto:[0-9a-f]{32}", made)
    assert first_body([plain.call(1)])["idempotency_key"] != made
    keyed = plain.using(idempotency_key="own")
    keys = [job["idempotency_key"] for job in first_body([plain.call(1), keyed.call(2)])["jobs"]]
    assert re.fullmatch("auto:[0-9a-f]{32}:0", keys[0])
    assert keys[1] == "own"


def test_nothing_is_sent_for_no_calls() -> None:
    assert jp.enqueue_many([]) == []
