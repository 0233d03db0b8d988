"""What travels as JSON and what is refused; the expected texts are written out by hand."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobpipe.errors import InvalidArguments, PayloadTooLarge
from jobpipe.tasks.codec import (
    MAX_SHOWN,
    Undecodable,
    Unstorable,
    check_size,
    decode_args,
    decode_result,
    encode_args,
    encode_plain,
    encode_result,
    show,
)
from jobpipe.tasks.signature import Signature

LIMIT = 1_048_576
Function = Callable[..., Any]


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Point:
    x: int
    y: float = 0.0
    path: Path | None = None


class Mail(msgspec.Struct):
    to: str
    tags: set[str] = msgspec.field(default_factory=set)


class Options(TypedDict, total=False):
    deep: bool


class Pair(NamedTuple):
    left: int
    right: str


@dataclass
class Tree:
    value: int
    children: list[Tree] = field(default_factory=list)


def sign(function: Function) -> Signature:
    return Signature("the.task", function)


def one(kind: Any) -> Signature:
    """Return the signature of a task with one parameter of this type."""

    def task(value: Any) -> None: ...

    task.__annotations__["value"] = kind
    return sign(task)


TYPED = [
    (int, 5, "5"),
    (int, 2**64 - 1, "18446744073709551615"),
    (int, -(2**63), "-9223372036854775808"),
    (float, 1.5, "1.5"),
    (float, 2, "2"),
    (bool, True, "true"),
    (None, None, "null"),
    (str, "Grüße \\u0000 \\", '"Grüße \\\\u0000 \\\\"'),
    (bytes, b"\x00\xff", '"AP8="'),
    (UUID, UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (Decimal, Decimal("1.50"), '"1.50"'),
    (Path, Path("a/b"), '"a/b"'),
    (PurePosixPath | None, PurePosixPath("a"), '"a"'),
    (datetime, datetime(2026, 1, 2, 3, 4, 5, 6, UTC), '"2026-01-02T03:04:05.000006Z"'),
    (
        datetime,
        datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        '"2026-01-02T00:00:00+02:00"',
    ),
    (date, date(2026, 1, 2), '"2026-01-02"'),
    (time, time(1, 2, 3), '"01:02:03"'),
    (timedelta, timedelta(seconds=90, microseconds=1), '"PT90.000001S"'),
    (Colour, Colour.RED, '"red"'),
    (Level, Level.HIGH, "3"),
    (Literal["a", "b"], "a", '"a"'),
    (tuple[int, str], (1, "a"), '[1,"a"]'),
    (list[tuple[int, ...]], [(1, 2), ()], "[[1,2],[]]"),
    (set[int], {7}, "[7]"),
    (frozenset[str], frozenset({"a"}), '["a"]'),
    (dict[int, date], {1: date(2026, 1, 2)}, '{"1":"2026-01-02"}'),
    (int | None, None, "null"),
    (int | str, "1", '"1"'),
    (Point, Point(1, 2.5, Path("p")), '{"x":1,"y":2.5,"path":"p"}'),
    (list[Point], [Point(1)], '[{"x":1,"y":0.0,"path":null}]'),
    (Mail, Mail("a@b", {"x"}), '{"to":"a@b","tags":["x"]}'),
    (Options, {"deep": True}, '{"deep":true}'),
    (Pair, Pair(1, "r"), '[1,"r"]'),
    (Tree, Tree(1, [Tree(2)]), '{"value":1,"children":[{"value":2,"children":[]}]}'),
    (Annotated[int, msgspec.Meta(gt=0)], 1, "1"),
    (Any, {"a": [1, 2.5, None, True, "x"]}, '{"a":[1,2.5,null,true,"x"]}'),
    (object, [1], "[1]"),
]


@pytest.mark.parametrize("kind,value,text", TYPED)
def test_arguments_come_back_as_their_declared_type(kind: Any, value: Any, text: str) -> None:
    signature = one(kind)
    stored = encode_args(signature, (value,), {})
    assert stored == f'{{"value":{text}}}'
    args, kwargs = decode_args(signature, stored)
    assert (args, kwargs) == ((), {"value": value})
    if kind not in (float, Any, object):
        assert type(kwargs["value"]) is type(value)


@pytest.mark.parametrize("kind,value,text", TYPED)
def test_results_come_back_as_their_declared_type(kind: Any, value: Any, text: str) -> None:
    def task() -> Any: ...

    task.__annotations__["return"] = kind
    stored = encode_result(value, LIMIT)
    assert stored == text
    assert decode_result(sign(task), stored) == value


class Opaque:
    pass


class NeverEqual(msgspec.Struct):
    x: int

    def __eq__(self, other: object) -> Any:
        raise RuntimeError("no truth here")


class ArrayLike(msgspec.Struct):
    x: int

    def __eq__(self, other: object) -> Any:
        return [True]


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


REFUSED = [
    (int, True, "Expected `int`, got `bool`"),
    (int, "1", "Expected `int`, got `str`"),
    (int, 1.0, "Expected `int`, got `float`"),
    (str, 1, "Expected `str`, got `int`"),
    (str, None, "Expected `str`, got `null`"),
    (float, float("nan"), "Expected `float`, got `null`"),
    (float, float("inf"), "Expected `float`, got `null`"),
    (float, 2**60 + 1, "another value"),
    (float | None, float("nan"), "another value"),
    (UUID, "00000000-0000-0000-0000-000000000001", "another value"),
    (Path, "a/b", "another value"),
    (Decimal, Decimal("NaN"), "another value"),
    (date, datetime(2026, 1, 2, tzinfo=UTC), "does not fit"),
    (Point, {"x": 1}, "another value"),
    (Colour, "red", "another value"),
    (list[int], (1,), "another value"),
    (tuple[int, str], (1, 2), "Expected `str`, got `int`"),
    (Annotated[int, msgspec.Meta(gt=0)], 0, "`int` >= 1"),
    (Any, (1, 2), "another value"),
    (Any, {1: "a"}, "another value"),
    (Any, {(1, 2): "a"}, "cannot be written as JSON"),
    (Any, {1}, "another value"),
    (Any, b"x", "another value"),
    (Any, Point(1), "another value"),
    (Any, float("nan"), "another value"),
    (Any, Colour.RED, "another value"),
    (Any, Opaque(), "type Opaque has no JSON form"),
    (Any, 1j, "type complex has no JSON form"),
    (Any, 2**64, "outside -9223372036854775808..18446744073709551615"),
    (int, -(2**63) - 1, "outside"),
    (Any, 10**5000, "cannot be written as JSON"),
    (Any, ["a", {"b": [10**30]}], "outside"),
    (str, "a\x00b", "NUL"),
    (Any, "\\\x00", "NUL"),
    (Any, {"a\x00": 1}, "NUL"),
    (str, "\ud800", "lone surrogate"),
    (Any, [{"\udfff": 1}], "lone surrogate"),
    (Path, Path("a\udcff"), "lone surrogate"),
    (Any, nested(65), "nested deeper than 64"),
    (Any, nested(500), "nested deeper than 64"),
    (Any, nested(100_000), "nested deeper than 64"),
    (list[Any], nested(100_000), "nested deeper than 64"),
    (NeverEqual, NeverEqual(1), "cannot be compared"),
    (ArrayLike, ArrayLike(1), "another value"),
    (Any, Unshowable(), "<Unshowable instance at"),
]


@pytest.mark.parametrize("kind,value,trouble", REFUSED, ids=count())
def test_what_would_not_come_back_is_refused(kind: Any, value: Any, trouble: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        encode_args(one(kind), (value,), {})
    message = str(caught.value)
    assert message.startswith("task the.task: argument 'value': ")
    assert trouble in message
    assert len(message) < 600


def test_the_refused_argument_is_named_among_others() -> None:
    def task(a: int, b: int, c: int) -> None: ...

    with pytest.raises(InvalidArguments, match="argument 'b'"):
        encode_args(sign(task), (1,), {"b": "x", "c": 3})


@pytest.mark.parametrize("depth", [1, 63])
def test_nesting_up_to_the_limit_is_stored(depth: int) -> None:
    signature = one(Any)
    value = nested(depth)
    assert decode_args(signature, encode_args(signature, (value,), {})) == ((), {"value": value})


def test_one_level_too_many_is_refused_with_the_object_of_arguments_counted() -> None:
    with pytest.raises(InvalidArguments, match="nested"):
        encode_args(one(Any), (nested(64),), {})


def test_brackets_and_digits_in_texts_do_not_count() -> None:
    signature = one(Any)
    value = ['[{"' * 100, "9" * 40, '\\"', 1e25, 123456789012345678901.5, -0.0]
    assert decode_args(signature, encode_args(signature, (value,), {})) == ((), {"value": value})


def test_many_shallow_lists_are_stored() -> None:
    signature = one(Any)
    value: list[Any] = [[{}] for _ in range(1000)]
    assert decode_args(signature, encode_args(signature, (value,), {}))[1]["value"] == value


def test_a_subclass_that_equals_its_plain_value_is_stored_as_the_plain_value() -> None:
    assert encode_args(one(Any), (OrderedDict(a=Level.HIGH),), {}) == '{"value":{"a":3}}'


def test_a_huge_value_is_never_echoed() -> None:
    secret = "hunter2" * 1000
    with pytest.raises(InvalidArguments) as caught:
        encode_args(one(int), (secret,), {})
    assert len(str(caught.value)) < 250
    with pytest.raises(InvalidArguments) as caught:
        encode_args(one(Literal["a"]), (secret,), {})
    assert len(str(caught.value)) < 400
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "value",
    [Unshowable(), nested(100_000), "x" * 10_000, 10**6000, {"a": "y" * 999}, "\ud800\n"],
    ids=count(),
)
def test_extracts_are_short_printable_and_never_fail(value: object) -> None:
    text = show(value)
    assert 0 < len(text) <= MAX_SHOWN
    assert text.isprintable()


def test_size_is_counted_in_bytes_and_both_sizes_are_told() -> None:
    check_size("the.task", "arguments", "ää", 4)
    with pytest.raises(PayloadTooLarge, match="need 4 bytes; at most 3 are allowed"):
        check_size("the.task", "arguments", "ää", 3)


@pytest.mark.parametrize(
    "text,trouble",
    [
        ("", "truncated"),
        ("[1]", "Expected `object`"),
        ('{"value":"x"}', "Expected `int`, got `str`"),
        ('{"value":1,"gone":2}', "unknown field `gone`"),
        ("{}", "lack value"),
        ('{"value":' + "[" * 100_000, "Expected `int`, got `array`"),
        ('{"value":"\ud800"}', "surrogates"),
    ],
    ids=count(),
)
def test_stored_arguments_that_do_not_fit_are_undecodable(text: str, trouble: str) -> None:
    with pytest.raises(Undecodable, match=trouble):
        decode_args(one(int), text)


def test_a_type_that_raises_while_it_is_read_makes_arguments_undecodable() -> None:
    @dataclass
    class Picky:
        x: int

        def __post_init__(self) -> None:
            if self.x < 0:
                raise LookupError("negative")

    with pytest.raises(Undecodable, match="negative"):
        decode_args(one(Picky), '{"value":{"x":-1}}')


@pytest.mark.parametrize(
    "value,trouble",
    [
        (float("nan"), "NaN"),
        ({"a": [None, float("inf")]}, "NaN"),
        (["\ud800", float("nan")], "JSON"),
        (Point(1, float("-inf")), "NaN"),
        (Opaque(), "type Opaque has no JSON form"),
        (2**64, "outside"),
        (["\ud800", -(2**70)], "outside"),
        (nested(65), "deeper than 64"),
        (nested(100_000), "recursion"),
        ("x" * LIMIT, f"needs {LIMIT + 2} bytes; at most {LIMIT} are allowed"),
        ("\ud800" * (LIMIT // 6 + 1), "bytes; at most"),
    ],
    ids=count(),
)
def test_results_without_a_json_form_are_unstorable(value: Any, trouble: str) -> None:
    with pytest.raises(Unstorable, match=trouble):
        encode_result(value, LIMIT)


@pytest.mark.parametrize(
    "value,text",
    [
        ("a\ud800b", '"a\\ud800b"'),
        ("a\x00b", '"a\\u0000b"'),
        ({"\udfff": ["ä", None]}, '{"\\udfff":["\\u00e4",null]}'),
        (None, "null"),
        ("null", '"null"'),
        ("x" * (LIMIT - 2), '"' + "x" * (LIMIT - 2) + '"'),
    ],
    ids=count(),
)
def test_odd_results_are_kept_as_escapes(value: Any, text: str) -> None:
    stored = encode_result(value, LIMIT)
    assert stored == text
    assert decode_result(None, stored) == value


def test_a_surrogate_inside_a_typed_result_comes_back_typed() -> None:
    def task() -> tuple[Path, date]:
        raise NotImplementedError

    value = (Path("a\udcff"), date(2026, 1, 2))
    stored = encode_result(value, LIMIT)
    assert stored == '["a\\udcff","2026-01-02"]'
    assert decode_result(sign(task), stored) == value


def test_a_result_of_another_type_than_declared_comes_back_plain() -> None:
    def task() -> int:
        raise NotImplementedError

    assert decode_result(sign(task), '"text"') == "text"


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[" * 100_000, '["\\ud800",' + "[" * 100_000], ids=count()
)
def test_a_stored_result_that_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_result(None, text)


def test_options_with_plain_values_are_checked_alike() -> None:
    assert encode_plain("meta", {"a": [1]}) == '{"a":[1]}'
    with pytest.raises(InvalidArguments, match="option meta: it holds a NUL"):
        encode_plain("meta", {"a": "\x00"})


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.dates(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text(st.characters()) | st.integers(), inner)
    ),
)


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_every_plain_json_value_comes_back_equal(value: Any) -> None:
    signature = one(Any)
    stored = encode_args(signature, (value,), {})
    assert json.loads(stored) == {"value": value}
    assert decode_args(signature, stored) == ((), {"value": value})


@given(ANYTHING)
@settings(max_examples=150, deadline=None)
def test_any_value_is_either_refused_or_comes_back_equal(value: Any) -> None:
    signature = one(Any)
    try:
        stored = encode_args(signature, (value,), {})
    except InvalidArguments:
        return
    assert decode_args(signature, stored)[1]["value"] == value


@given(ANYTHING)
@settings(max_examples=150, deadline=None)
def test_any_result_is_either_unstorable_or_valid_ascii_safe_json(value: Any) -> None:
    try:
        stored = encode_result(value, LIMIT)
    except Unstorable:
        return
    stored.encode()
    json.loads(stored, parse_constant=pytest.fail)
    decode_result(None, stored)
