"""What is typed becomes what is meant: arguments, filters, times, exit codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import click
import pytest

from jobpipe import errors
from jobpipe.cli import exits, times
from jobpipe.cli.arguments import read_arguments
from jobpipe.cli.types import job_id, moment, span
from jobpipe.tasks.signature import Signature

NOTHING = {"state": None, "queue": None, "task": None}


class Colour(Enum):
    RED = "red"


def task(
    number: int,
    text: str = "",
    maybe: str | None = None,
    flag: bool = False,
    items: list[int] | None = None,
    when: datetime | None = None,
    colour: Colour = Colour.RED,
    anything: Any = None,
    **more: int,
) -> None: ...


def strict(a: int) -> None: ...


SIGNATURE = Signature("task", task)


@pytest.mark.parametrize(
    "pair, value",
    [
        ("number=5", 5),
        ("number=-5", -5),
        ("number=five", "five"),
        ("number=5.5", "5.5"),
        ("text=5", "5"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("text=null", "null"),
        ('text="5"', "5"),
        ("text=é\n", "é\n"),
        ("maybe=null", None),
        ("maybe=x", "x"),
        ("flag=true", True),
        ("flag=True", "True"),
        ("items=[1,2]", [1, 2]),
        ("items=[1,x]", "[1,x]"),
        ("when=2030-01-31T09:00:00Z", "2030-01-31T09:00:00Z"),
        ("colour=red", "red"),
        ("anything=5", 5),
        ('anything={"a":[1]}', {"a": [1]}),
        ("anything=five", "five"),
        ("other=5", 5),
        ("other=x", "x"),
    ],
)
def test_a_value_is_json_where_the_parameter_takes_it_and_text_otherwise(
    pair: str, value: object
) -> None:
    name = pair.partition("=")[0]
    assert read_arguments(SIGNATURE, [pair], None) == {name: value}


def test_a_name_that_the_task_lacks_is_left_for_the_task_to_refuse() -> None:
    assert read_arguments(Signature("strict", strict), ["b=1"], None) == {"b": "1"}


def test_arguments_as_json() -> None:
    assert read_arguments(SIGNATURE, [], '{"number": 1}') == {"number": 1}
    assert read_arguments(SIGNATURE, [], "[1, 2]") == [1, 2]
    assert read_arguments(SIGNATURE, [], None) == {}
    assert read_arguments(SIGNATURE, ["text=a"], '{"number": 1}') == {"number": 1, "text": "a"}


@pytest.mark.parametrize(
    "pairs, json_args, message",
    [
        (["number"], None, "'number' is not of the form KEY=VALUE."),
        (["=1"], None, "'=1' is not of the form KEY=VALUE."),
        (["a=1", "a=2"], None, "The argument 'a' is given twice."),
        (["a=1"], '{"a": 2}', "The argument 'a' is given twice."),
        (["a=1"], "[2]", "--args with an array cannot be joined by KEY=VALUE."),
        ([], "5", "neither a JSON object nor a JSON array"),
        ([], "{", "not JSON: Expecting property name enclosed in double quotes"),
        ([], "[NaN]", "not JSON: NaN is not JSON"),
        ([], "[" * 100_000, "not JSON: the JSON text is nested too deep"),
    ],
)
def test_wrong_arguments_are_refused(pairs: list[str], json_args: str | None, message: str) -> None:
    with pytest.raises(click.UsageError) as refusal:
        read_arguments(SIGNATURE, pairs, json_args)
    assert message in refusal.value.message


def test_an_argument_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(errors.InvalidArguments, match="argument 'text' is not UTF-8"):
        read_arguments(SIGNATURE, ["text=\udcff"], None)


def test_spans_and_moments() -> None:
    assert span("10m") == timedelta(minutes=10)
    assert span("2.5") == timedelta(seconds=2.5)
    nine = datetime(2030, 1, 31, 9, tzinfo=UTC)
    assert moment("2030-01-31T09:00:00Z") == nine
    assert moment("2030-01-31T11:00+02:00") == nine


@pytest.mark.parametrize("text", ["", "soon", "-1m", "10 parsecs", "1e9999"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        span(text)


@pytest.mark.parametrize("text", ["", "soon", "2030-01-31T09:00:00", "0001-01-01T00:00+14:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        moment(text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "٣", str(2**63), "9" * 5_000])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        job_id(text)


def test_ids() -> None:
    assert (job_id("1"), job_id("007"), job_id(str(2**63 - 1))) == (1, 7, 2**63 - 1)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0s"),
        (0.0123, "12.3ms"),
        (1, "1s"),
        (59.6, "1m"),
        (61, "1m 1s"),
        (3_600, "1h"),
        (90_061, "1d 1h"),
        (86_400 * 400, "400d"),
    ],
)
def test_spans_are_short(seconds: float, text: str) -> None:
    assert times.span(seconds) == text


def test_every_error_has_its_exit_code() -> None:
    def tree(kind: type[errors.JobpipeError]) -> list[type[errors.JobpipeError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]

    ours = [kind for kind in tree(errors.JobpipeError) if kind.__module__ == "jobpipe.errors"]
    assert {kind.__name__: exits.BY_CODE[kind.code] for kind in ours} == {
        "JobpipeError": 1,
        "ConfigError": 2,
        "InvalidArguments": 2,
        "UnknownTask": 4,
        "PayloadTooLarge": 2,
        "QueueFull": 5,
        "DuplicateKey": 5,
        "JobNotFound": 4,
        "FlowNotFound": 4,
        "OperationNotFound": 4,
        "InvalidTransition": 5,
        "PreconditionFailed": 5,
        "JobFailed": 10,
        "JobCancelled": 11,
        "WaitTimeout": 12,
        "LeaseLost": 5,
        "Unauthorized": 77,
        "Forbidden": 77,
        "StoreUnavailable": 75,
        "ProcessDied": 1,
        "CommandFailed": 1,
    }
