"""How calls bind to parameters, and which annotations may be declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import msgspec
import pytest

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.tasks.codec import decode_args, encode_args
from jobpipe.tasks.signature import Signature

if TYPE_CHECKING:
    from tests.unit.nowhere import Missing  # type: ignore[import-not-found]


class Later(TypedDict, total=False):
    size: int


def plain(a: int, b: int = 1, *, c: str = "x") -> None: ...
def positional(a: int, b: int = 2, /, c: int = 3) -> None: ...
def rest(a: int, *paths: Path, flag: bool = False, **more: float) -> None: ...
def untyped(a, b=None): ...  # type: ignore[no-untyped-def]
def reserved(self: int, task: int, kwargs: int, __x: int) -> None: ...
def unpacked(**later: Unpack[Later]) -> None: ...
def nothing() -> None: ...
async def coroutine(a: int) -> int:
    return a


def sign(function: Callable[..., Any]) -> Signature:
    return Signature("the.task", function)


@dataclass
class Place:
    x: int
    next: Place | None = None


def refers(place: Place, *more: int, **others: Place) -> None: ...


def test_the_schema_tells_what_arguments_are_stored() -> None:
    place = {"$ref": "#/$defs/Place"}
    assert sign(refers).schema == {
        "title": "Arguments",
        "type": "object",
        "properties": {
            "place": place,
            "more": {"type": "array", "items": {"type": "integer"}},
            "others": {"type": "object", "additionalProperties": place},
        },
        "required": ["place"],
        "additionalProperties": False,
        "$defs": {
            "Place": {
                "title": "Place",
                "type": "object",
                "properties": {
                    "x": {"type": "integer"},
                    "next": {"anyOf": [place, {"type": "null"}], "default": None},
                },
                "required": ["x"],
            }
        },
    }
    assert sign(nothing).schema["properties"] == {}


@pytest.mark.parametrize(
    "function,args,kwargs,text",
    [
        (plain, (1,), {}, '{"a":1}'),
        (plain, (1, 2), {"c": "y"}, '{"a":1,"b":2,"c":"y"}'),
        (plain, (), {"b": 5, "a": 4}, '{"a":4,"b":5}'),
        (positional, (1,), {"c": 4}, '{"a":1,"c":4}'),
        (positional, (1, 5, 6), {}, '{"a":1,"b":5,"c":6}'),
        (rest, (1,), {}, '{"a":1}'),
        (rest, (1, Path("p"), Path("q")), {}, '{"a":1,"paths":["p","q"]}'),
        (
            rest,
            (1,),
            {"flag": True, "paths": 1.5, "more": 2.5},
            '{"a":1,"flag":true,"more":{"paths":1.5,"more":2.5}}',
        ),
        (untyped, ([1],), {"b": {"x": None}}, '{"a":[1],"b":{"x":null}}'),
        (reserved, (1, 2, 3, 4), {}, '{"self":1,"task":2,"kwargs":3,"__x":4}'),
        (unpacked, (), {"size": 3}, '{"later":{"size":3}}'),
        (nothing, (), {}, "{}"),
        (coroutine, (1,), {}, '{"a":1}'),
    ],
)
def test_a_call_is_stored_by_parameter_name_and_comes_back(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    signature = sign(function)
    assert encode_args(signature, args, kwargs) == text
    again_args, again_kwargs = decode_args(signature, text)
    bound = signature.python.bind(*again_args, **again_kwargs)
    assert bound.arguments == signature.python.bind(*args, **kwargs).arguments


@pytest.mark.parametrize(
    "function,args,kwargs,trouble",
    [
        (plain, (), {}, "missing a required argument: 'a'"),
        (plain, (), {"b": 1}, "missing a required argument: 'a'"),
        (plain, (1, 2, "x"), {}, "too many positional arguments"),
        (plain, (1,), {"a": 1}, "multiple values for argument 'a'"),
        (plain, (1,), {"d": 1}, "unexpected keyword argument 'd'"),
        (positional, (), {"a": 1}, "'a'"),
        (rest, (), {}, "missing a required argument: 'a'"),
        (nothing, (1,), {}, "too many positional arguments"),
    ],
)
def test_a_call_that_does_not_fit_is_a_type_error(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], trouble: str
) -> None:
    with pytest.raises(InvalidArguments, match=trouble) as caught:
        encode_args(sign(function), args, kwargs)
    assert isinstance(caught.value, TypeError)
    assert str(caught.value).startswith("task the.task: ")


def test_items_of_rest_parameters_are_checked_by_their_type() -> None:
    with pytest.raises(InvalidArguments, match="argument 'paths'"):
        encode_args(sign(rest), (1, "not a path"), {})
    with pytest.raises(InvalidArguments, match="argument 'more'"):
        encode_args(sign(rest), (1,), {"x": "not a float"})


def early(point: Point) -> None: ...


EARLY = sign(early)


class Point(msgspec.Struct):
    x: int


def test_a_type_may_be_declared_after_the_task() -> None:
    assert decode_args(EARLY, encode_args(EARLY, (Point(1),), {})) == (
        (),
        {"point": Point(1)},
    )


def test_a_local_type_is_found_when_the_task_uses_it() -> None:
    class Local(msgspec.Struct):
        x: int

    def task(local: Local) -> Local:
        return Local(local.x)

    assert encode_args(sign(task), (Local(1),), {}) == '{"local":{"x":1}}'


class Opaque: ...


def takes_missing(ok: int, other: Missing) -> None: ...
def takes_opaque(ok: int, other: list[Opaque]) -> None: ...
def takes_callable(ok: int, other: Callable[[], int]) -> None: ...
def takes_raw(ok: int, other: msgspec.Raw) -> None: ...
def takes_two_lists(ok: int, other: list[int] | set[int]) -> None: ...


@pytest.mark.parametrize(
    "function,trouble",
    [
        (takes_missing, "name 'Missing' is not defined"),
        (takes_opaque, "type Opaque is not supported"),
        (takes_callable, "type Callable is not supported"),
        (takes_raw, "type Raw is not supported"),
        (takes_two_lists, "more than one array-like"),
    ],
)
def test_a_type_that_cannot_travel_is_refused_at_first_use(
    function: Callable[..., Any], trouble: str
) -> None:
    signature = sign(function)
    for use in (
        lambda: encode_args(signature, (1, None), {}),
        lambda: decode_args(signature, '{"ok":1,"other":null}'),
    ):
        with pytest.raises(ConfigError, match=trouble) as caught:
            use()
        assert "task the.task: parameter 'other'" in str(caught.value)
        assert "UUID" in caught.value.help


def gives_missing() -> Missing:
    raise NotImplementedError


def gives_opaque() -> Opaque:
    raise NotImplementedError


def gives_untyped():  # type: ignore[no-untyped-def]
    raise NotImplementedError


@pytest.mark.parametrize("function", [gives_missing, gives_opaque, gives_untyped])
def test_a_result_type_that_cannot_travel_is_read_as_plain_json(
    function: Callable[..., Any],
) -> None:
    assert sign(function).returns is Any


def test_a_result_type_is_resolved() -> None:
    assert sign(coroutine).returns is int
    assert sign(nothing).returns is type(None)


def test_equal_calls_make_equal_texts() -> None:
    def task(names: set[str], mixed: frozenset[int | str], more: dict[str, int]) -> None: ...

    names = {f"n{number}" for number in range(9)}
    backwards = {f"n{number}" for number in range(8, -1, -1)}
    text = encode_args(sign(task), (names,), {"more": {"b": 1, "a": 2}, "mixed": frozenset({1})})
    assert text == (
        '{"mixed":[1],"more":{"a":2,"b":1},"names":["n0","n1","n2","n3","n4","n5","n6","n7","n8"]}'
    )
    assert text == encode_args(sign(task), (backwards, {1}, {"a": 2, "b": 1}), {})
    unordered = frozenset({1, "a"})
    mixed = encode_args(sign(task), (set(), unordered, {}), {})
    assert decode_args(sign(task), mixed)[1]["mixed"] == unordered
