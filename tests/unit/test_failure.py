"""What is kept of an exception: always something, never too much."""

from __future__ import annotations

import json

import pytest

from jobpipe.runtime.failure import MESSAGE_MAX, TRACEBACK_MAX, describe, to_json

LIMIT = 1_048_576


def told(error: BaseException, limit: int = LIMIT) -> dict[str, str]:
    text = describe(error, limit)
    assert len(text.encode()) <= limit
    found: dict[str, str] = json.loads(text)
    assert list(found) == ["type", "message", "traceback"]
    return found


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_type_message_and_traceback_are_told() -> None:
    found = told(raised(ValueError("seven")))
    assert (found["type"], found["message"]) == ("ValueError", "seven")
    assert found["traceback"].endswith("ValueError: seven\n")
    assert "in raised" in found["traceback"]


def test_the_whole_chain_is_told() -> None:
    try:
        try:
            raise KeyError("cause")
        except KeyError as cause:
            raise ValueError("effect") from cause
    except ValueError as error:
        trace = told(error)["traceback"]
    assert "KeyError: 'cause'" in trace
    assert "direct cause" in trace


def test_an_exception_that_cannot_be_told_is_told_as_such() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert told(raised(Mute()))["message"] == "<str() of the exception raised RuntimeError>"


def test_endless_recursion_is_told_briefly() -> None:
    def dive() -> None:
        dive()

    with pytest.raises(RecursionError) as caught:
        dive()
    assert len(told(caught.value)["traceback"]) < TRACEBACK_MAX


def test_a_huge_message_keeps_both_ends() -> None:
    found = told(raised(ValueError("a" * 50_000_000 + "z")))
    assert len(found["message"]) <= MESSAGE_MAX + 100
    assert found["message"].startswith("aaa")
    assert found["message"].endswith("z")
    assert len(found["traceback"]) <= 3 * TRACEBACK_MAX


@pytest.mark.parametrize("limit", [1_024, 4_096])
def test_no_limit_is_passed(limit: int) -> None:
    found = told(raised(ValueError('"\n' * 50_000)), limit)
    assert found["type"] == "ValueError"
    assert found["message"]


@pytest.mark.parametrize(
    "text,kept", [("a\x00b", "a\\x00b"), ("\ud800", "\\ud800"), ("é\n漢", "é\n漢")]
)
def test_what_no_store_can_hold_is_escaped(text: str, kept: str) -> None:
    assert json.loads(to_json(text, text, text, LIMIT)) == {
        "type": kept,
        "message": kept,
        "traceback": kept,
    }
