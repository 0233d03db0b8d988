"""Names made of a job's arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.tasks.codec import encode_args
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.template import parse


def plain(user_id: int, region: str = "eu", day: date = date(2026, 1, 2)) -> None: ...
def odd(user_id: Any = object()) -> None: ...  # noqa: B008
def rest(user_id: int, **more: Any) -> None: ...
def remote(**arguments: Any) -> None: ...


def made(function: Callable[..., Any], text: str, *args: Any, **kwargs: Any) -> str:
    signature = Signature("the.task", function)
    template = parse("tenant", text, signature)
    return template.render(signature, encode_args(signature, args, kwargs))


@pytest.mark.parametrize(
    "function,text,args,name",
    [
        (plain, "acme", {"user_id": 1}, "acme"),
        (plain, "user-{user_id}", {"user_id": 7}, "user-7"),
        (plain, "{region}/{user_id}!", {"user_id": 7, "region": "us"}, "us/7!"),
        (plain, "{region}", {"user_id": 7}, "eu"),
        (plain, "{day}", {"user_id": 7}, "2026-01-02"),
        (plain, "{{{user_id}}}", {"user_id": 7}, "{7}"),
        (rest, "{team}", {"user_id": 7, "team": "red"}, "red"),
        (rest, "{team}", {"user_id": 7, "team": {"b": [1, None], "a": True}},
         '{"a":true,"b":[1,null]}'),
    ],
)  # fmt: skip
def test_an_argument_stands_in_the_name(
    function: Callable[..., Any], text: str, args: dict[str, Any], name: str
) -> None:
    assert made(function, text, **args) == name


@pytest.mark.parametrize(
    "text,message",
    [
        ("{user}", "tenant='{user}' is refused; allowed: the task's parameters (user_id, region,"),
        ("{user_id", "tenant='{user_id' is refused; allowed: text with {name} for an argument"),
        ("{user_id:>4}", "tenant='{user_id:>4}' is refused; allowed: text with {name}"),
        ("{user_id!r}", "tenant='{user_id!r}' is refused; allowed: text with {name}"),
        ("{}", "tenant='{}' is refused; allowed: text with {name} for an argument"),
        ("{user_id.real}", "tenant='{user_id.real}' is refused; allowed: text with {name}"),
        ("", "tenant='' is refused; allowed: 1 to 200 characters"),
        ("x" * 201, "allowed: 1 to 200 characters"),
        (7, "tenant=7 is refused; allowed: text with {name} for an argument"),
    ],
)
def test_a_wrong_template_is_refused_when_it_is_declared(text: object, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse("tenant", text, Signature("the.task", plain))
    assert message in str(refused.value)
    assert str(refused.value).startswith("task the.task: tenant=")


def test_a_default_that_json_cannot_say_is_refused_when_it_is_declared() -> None:
    with pytest.raises(ConfigError, match="allowed: user_id with a default that JSON can say"):
        parse("tenant", "{user_id}", Signature("the.task", odd))


@pytest.mark.parametrize("region", ["", "  ", "a\nb", "x" * 201])
def test_what_becomes_no_name_is_refused(region: str) -> None:
    with pytest.raises(InvalidArguments, match=r"tenant='{region}' becomes .*, which is refused"):
        made(plain, "{region}", 1, region=region)


def test_an_argument_that_nobody_knows_must_be_given() -> None:
    with pytest.raises(InvalidArguments, match="needs the argument 'team', which was not given"):
        made(rest, "{team}", 7)


def test_a_remote_task_has_its_arguments_by_name_or_else_none() -> None:
    signature = Signature("the.task", remote)
    template = parse("tenant", "{team}", signature)
    assert template.render(signature, '{"team":3}') == "3"
    with pytest.raises(InvalidArguments, match="needs arguments by name"):
        template.render(signature, "[3]")
