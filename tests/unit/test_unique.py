"""What makes jobs one and the same: keys made of arguments, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jobpipe import Jobpipe, Unique
from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.model.unique import Clash, Scope, Uniqueness
from jobpipe.tasks.codec import encode_args
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.unique import as_unique, settled


def work(user_id: int, tags: set[str] = frozenset(), more: Any = None) -> None: ...  # type: ignore[assignment]
def rest(**more: Any) -> None: ...


def key(wish: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> str | None:
    signature = Signature("the.task", function)
    asked = as_unique(wish)
    return settled(None, asked, signature, encode_args(signature, args, kwargs))[0]


def test_a_key_stands_for_the_task_and_its_arguments() -> None:
    plain = key(True, work, 1)
    assert plain == "the.task:" + plain[9:] if plain else False
    assert plain is not None
    assert len(plain) == 9 + 32
    assert plain == key(True, work, user_id=1, more=None)
    assert key(True, work, 1, {"a", "b"}) == key(True, work, 1, {"b", "a"})
    assert key(True, rest, a=1, b=[{"x": 1, "y": 2}]) == key(True, rest, b=[{"y": 2, "x": 1}], a=1)
    assert len({plain, key(True, work, 2), key(True, work, 1, {"a"}), key(True, rest, a=1)}) == 4


def test_a_long_name_still_makes_a_key() -> None:
    signature = Signature("t" * 200, work)
    made, _ = settled(None, Unique(), signature, '{"user_id":1}')
    assert made is not None
    assert len(made) == 193
    assert made != settled(None, Unique(), Signature("t" * 199 + "u", work), '{"user_id":1}')[0]


def test_a_key_is_filled_in() -> None:
    assert key("u-{user_id}", work, 7) == "u-7"
    assert key(Unique("{more}"), work, 7, more={"b": 1, "a": None}) == '{"a":null,"b":1}'
    assert key({"key": "{x}"}, rest, x="y") == "y"
    assert key(None, work, 7) is None
    assert key(False, work, 7) is None


@pytest.mark.parametrize(
    "wish,meant",
    [
        (True, Uniqueness()),
        ("k", Uniqueness(scope=Scope.WAITING, answer=Clash.RETURN)),
        (Unique(scope="live", answer="refuse"), Uniqueness(scope=Scope.LIVE, answer=Clash.REFUSE)),
        (Unique(for_seconds=1.5), Uniqueness(scope=Scope.SECONDS, for_us=1_500_000)),
        (Unique(for_seconds=timedelta(days=1)),
         Uniqueness(scope=Scope.SECONDS, for_us=86_400_000_000)),
        ({"scope": "live", "key": None}, Uniqueness(scope=Scope.LIVE)),
    ],
)  # fmt: skip
def test_what_is_meant(wish: Any, meant: Uniqueness) -> None:
    asked = as_unique(wish)
    assert asked
    assert asked.uniqueness() == meant


def test_a_request_says_the_rest_of_its_task() -> None:
    task = Unique("k-{n}", scope="live", answer="refuse")
    assert Unique().over(task) == task
    assert Unique("j").over(task) == Unique("j", scope="live", answer="refuse")
    assert Unique(for_seconds=5).over(task) == Unique("k-{n}", for_seconds=5, answer="refuse")
    timed = Unique("k", for_seconds=5)
    assert Unique(scope="waiting").over(timed) == Unique("k", scope="waiting")
    assert Unique(answer="replace").over(timed) == Unique("k", for_seconds=5, answer="replace")


def test_what_is_said_of_it_over_http() -> None:
    assert Unique().said() == {}
    wish = Unique("k", for_seconds=timedelta(minutes=1), answer="return")
    assert wish.said() == {"key": "k", "for_seconds": 60.0, "answer": "return"}
    assert Unique(**wish.said()).uniqueness() == wish.uniqueness()


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: Unique(7), "option key=7 is refused; allowed: a text"),  # type: ignore[arg-type]
        (lambda: Unique(scope="seconds"), "option scope='seconds' is refused; allowed: 'waiting'"),  # type: ignore[arg-type]
        (lambda: Unique(answer="no"), "option answer='no' is refused; allowed: 'return', 'rep"),  # type: ignore[arg-type]
        (lambda: Unique(for_seconds=0), "option for_seconds=0 is refused; allowed: seconds above"),
        (lambda: Unique(for_seconds=True), "option for_seconds=True is refused"),
        (lambda: Unique(for_seconds=float("nan")), "option for_seconds=nan is refused"),
        (lambda: Unique(for_seconds=1e12), "option for_seconds=1000000000000.0 is refused"),
        (lambda: Unique(for_seconds=1, scope="live"), "allowed: without a scope: it is one"),
        (lambda: as_unique(7), "option unique=7 is refused; allowed: True, a key such as"),
        (lambda: as_unique({"keys": "k"}), "option unique={'keys': 'k'} is refused"),
        (lambda: key("{nobody}", work, 1), "unique='{nobody}' is refused; allowed: the task's"),
        (lambda: key("{user_id", work, 1), "unique='{user_id' is refused; allowed: text with"),
        (lambda: key("{x}", rest, y=1), "needs the argument 'x', which was not given"),
    ],
)
def test_what_is_wrong_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidArguments) as told:
        make()
    assert message in str(told.value)


def test_a_task_is_not_declared_with_a_wrong_key() -> None:
    jp = Jobpipe("sqlite:///:memory:")
    with pytest.raises(ConfigError, match=r"unique='\{user\}' is refused; allowed: the task's par"):
        jp.task(unique="{user}")(work)
    with pytest.raises(ConfigError, match="work: option unique=7 is refused"):
        jp.task(unique=7)(work)  # type: ignore[call-overload]
