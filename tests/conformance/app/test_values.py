"""What travels through a store and comes back as it was; what is refused is refused everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest

from jobpipe import Jobpipe, Reason, State
from jobpipe.errors import InvalidArguments, PayloadTooLarge
from tests.conformance.app.site import Site


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 3


@dataclass
class Point:
    x: int
    y: float = 0.5
    name: str | None = None


@dataclass
class Line:
    ends: list[Point]
    style: dict[str, Colour] = field(default_factory=dict)


class Mail(msgspec.Struct):
    to: str
    tags: set[str] = msgspec.field(default_factory=set)


class Address(TypedDict):
    street: str
    number: int


class Pair(NamedTuple):
    left: str
    right: int


def give_str(value: str) -> str:
    return value


def give_int(value: int) -> int:
    return value


def give_float(value: float) -> float:
    return value


def give_bool(value: bool) -> bool:
    return value


def give_none(value: None) -> None:
    return value


def give_bytes(value: bytes) -> bytes:
    return value


def give_datetime(value: datetime) -> datetime:
    return value


def give_date(value: date) -> date:
    return value


def give_time(value: time) -> time:
    return value


def give_span(value: timedelta) -> timedelta:
    return value


def give_uuid(value: UUID) -> UUID:
    return value


def give_decimal(value: Decimal) -> Decimal:
    return value


def give_path(value: Path) -> Path:
    return value


def give_posix(value: PurePosixPath) -> PurePosixPath:
    return value


def give_colour(value: Colour) -> Colour:
    return value


def give_level(value: Level) -> Level:
    return value


def give_literal(value: Literal["a", 2]) -> Literal["a", 2]:
    return value


def give_list(value: list[Point]) -> list[Point]:
    return value


def give_tuple(value: tuple[int, str]) -> tuple[int, str]:
    return value


def give_set(value: set[int]) -> set[int]:
    return value


def give_frozenset(value: frozenset[str]) -> frozenset[str]:
    return value


def give_dict(value: dict[int, Point]) -> dict[int, Point]:
    return value


def give_line(value: Line) -> Line:
    return value


def give_mail(value: Mail) -> Mail:
    return value


def give_address(value: Address) -> Address:
    return value


def give_pair(value: Pair) -> Pair:
    return value


def give_union(value: int | Colour | None) -> int | Colour | None:
    return value


def give_any(value: Any) -> Any:
    return value


CASES: list[tuple[Callable[[Any], Any], Any]] = [
    (give_str, ""),
    (give_str, 'é 漢 😀 \u2028 \t\n "quoted" \\ %s :now {p} $1'),
    (give_int, 0),
    (give_int, -(2**63)),
    (give_int, 2**64 - 1),
    (give_float, 1e-7),
    (give_float, -0.1),
    (give_bool, True),
    (give_none, None),
    (give_bytes, b"\x00\xff raw"),
    (give_datetime, datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC)),
    (give_datetime, datetime(1999, 1, 1, tzinfo=timezone(timedelta(hours=-3)))),
    (give_datetime, datetime(2024, 1, 1, 12)),  # noqa: DTZ001
    (give_date, date(1, 1, 1)),
    (give_time, time(23, 59, 59, 999_999)),
    (give_span, timedelta(days=-1, microseconds=7)),
    (give_uuid, UUID(int=7)),
    (give_decimal, Decimal("0.10")),
    (give_path, Path("/tmp/a b")),
    (give_posix, PurePosixPath("x/y")),
    (give_colour, Colour.BLUE),
    (give_level, Level.HIGH),
    (give_literal, "a"),
    (give_literal, 2),
    (give_list, [Point(1), Point(2, 3.5, "p")]),
    (give_tuple, (1, "one")),
    (give_set, {3, 1, 2}),
    (give_frozenset, frozenset({"a", "b"})),
    (give_dict, {1: Point(1), -2: Point(2)}),
    (give_line, Line([Point(0)], {"ink": Colour.RED})),
    (give_mail, Mail("a@b", {"x", "y"})),
    (give_address, {"street": "Long", "number": 1}),
    (give_pair, Pair("l", 2)),
    (give_union, 7),
    (give_union, Colour.RED),
    (give_union, None),
    (give_any, {"deep": [1, None, {"a": [True, 1.5, "x"]}], "": {}}),
]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


REFUSED: dict[str, Any] = {
    "NUL": "a\x00b",
    "lone surrogate": "\ud800",
    "NaN": float("nan"),
    "infinity": float("inf"),
    "too large an integer": 2**64,
    "too small an integer": -(2**63) - 1,
    "nested too deep": nested(64),
    "an object": object(),
    "a tuple as Any": (1, 2),
    "integer keys as Any": {1: 2},
    "a NUL in a key": {"a\x00": 1},
}
"""As an argument declared ``Any``."""

TAKEN: dict[str, Any] = {
    "the word of a NUL": "\\u0000",
    "a paired surrogate": "\U0001f600",
    "a huge float": 1e308,
    "the largest integer": 2**64 - 1,
    "the smallest integer": -(2**63),
    "the deepest nesting": nested(63),
}


def test_every_supported_type_comes_back_as_it_was(site: Site, jp: Jobpipe) -> None:
    tasks = {function: jp.task(function) for function in {function for function, _ in CASES}}
    jobs = [(site.enqueue(tasks[function], value), value) for function, value in CASES]
    site.drain(jp)
    for job, value in jobs:
        got = site.result(job)
        assert got == value
        assert type(got) is type(value)


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_not_come_back_is_refused_before_anything_is_stored(
    site: Site, jp: Jobpipe, what: str
) -> None:
    task = jp.task(give_any)
    with pytest.raises(InvalidArguments, match=r"'value'|do not survive"):
        site.enqueue(task, REFUSED[what])
    with pytest.raises(InvalidArguments):
        task.using(meta={"k": REFUSED[what]})
    assert sum(site.do(jp, "counts").values()) == 0


@pytest.mark.parametrize("tag", ["a\x00b", "\ud800", "", 7])
def test_tags_are_plain_words(site: Site, jp: Jobpipe, tag: Any) -> None:
    task = jp.task(give_any)
    with pytest.raises(InvalidArguments, match="tags"):
        task.using(tags=[tag])


def test_what_is_at_the_limits_is_taken(site: Site, jp: Jobpipe) -> None:
    task = jp.task(give_any)
    jobs = {
        what: site.enqueue(task.using(meta={"k": value} if "deep" not in what else None), value)
        for what, value in TAKEN.items()
    }
    site.drain(jp)
    for what, job in jobs.items():
        assert site.result(job) == TAKEN[what]
        site.seen(job)
        assert job.meta == ({"k": TAKEN[what]} if "deep" not in what else {})


@pytest.mark.parametrize(
    "kind",
    ["nan", "infinity", "large integer", "deep", "object", "integer keys out of range"],
)
def test_results_that_json_cannot_say_fail_the_job(site: Site, jp: Jobpipe, kind: str) -> None:
    @jp.task
    def give() -> Any:
        return {
            "nan": [float("nan")],
            "infinity": float("-inf"),
            "large integer": 2**64,
            "deep": nested(65),
            "object": object(),
            "integer keys out of range": {"n": -(2**63) - 1},
        }[kind]

    job = site.enqueue(give)
    site.drain(jp)
    assert (site.seen(job).state, site.seen(job).reason) == (State.FAILED, Reason.UNSTORABLE)


def test_odd_texts_in_results_are_kept(site: Site, jp: Jobpipe) -> None:
    odd = ["a\x00b", "\ud800", "\udfff x", "😀"]

    @jp.task
    def give() -> Any:
        return odd

    @jp.task
    def give_typed() -> list[str]:
        return odd

    jobs = [site.enqueue(give), site.enqueue(give_typed)]
    site.drain(jp)
    assert [site.result(job) for job in jobs] == [odd, odd]


def test_tags_and_meta_come_back(site: Site, jp: Jobpipe) -> None:
    task = jp.task(give_any)
    meta = {"who": "é", "n": [1, {"deep": None}], "f": 0.1}
    job = site.enqueue(task.using(tags=["b", "ü a"], meta=meta), 1)
    found = site.do(jp, "job", job.id)
    assert (found.tags, found.meta) == (["b", "ü a"], meta)
    plain = site.do(jp, "job", site.enqueue(task, 1).id)
    assert (plain.tags, plain.meta) == ([], {})


def test_payloads_are_bounded(site: Site) -> None:
    jp = site.jobpipe(max_payload=1_024)
    task = jp.task(give_str)
    fits = "x" * (1_024 - len('{"value":""}'))
    job = site.enqueue(task, fits)
    with pytest.raises(PayloadTooLarge, match="arguments need 1025 bytes"):
        site.enqueue(task, fits + "x")
    with pytest.raises(PayloadTooLarge):
        site.enqueue(task, "é" * 600)
    with pytest.raises(PayloadTooLarge, match="metadata"):
        site.enqueue(task.using(meta={"k": fits + "12345"}), "")
    site.drain(jp)
    assert site.result(job) == fits
    assert site.do(jp, "counts")["succeeded"] == 1


def test_every_kind_of_parameter_is_bound(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def call(a: int, /, b: int, *rest: int, c: int = 4, **more: int) -> list[Any]:
        return [a, b, rest, c, more]

    jobs = [
        (site.enqueue(call, 1, 2), [1, 2, [], 4, {}]),
        (site.enqueue(call, 1, b=2, c=3), [1, 2, [], 3, {}]),
        (site.enqueue(call, 1, 2, 3, 4, c=5, d=6), [1, 2, [3, 4], 5, {"d": 6}]),
    ]
    for bad in ((), (1,), ("1", 2)):
        with pytest.raises(InvalidArguments):
            site.enqueue(call, *bad)
    site.drain(jp)
    for job, expected in jobs:
        assert site.result(job) == expected
