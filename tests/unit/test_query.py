"""The words of a query, what they mean, and how a wrong one is pointed at."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobpipe.errors import InvalidArguments
from jobpipe.model.filter import LEAST, MOST, Term
from jobpipe.policy.query import MAX_TERMS, WORDS, parse

HOUR = 3_600_000_000
DAY = 24 * HOUR
NEW_YEAR = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z, by hand: 20,454 days of 86,400 s since 1970."""


def term(word: str, **fields: Any) -> Term:
    return Term(word=word, **fields)


@pytest.mark.parametrize(
    "text, terms",
    [
        ("", []),
        ("  ", []),
        ("state:failed", [term("state", values=("failed",))]),
        ("state:failed,cancelled", [term("state", values=("failed", "cancelled"))]),
        (" task:mail.*\ttag:a:b ", [term("task", starts=("mail.",)), term("tag", values=("a:b",))]),
        ("task:a,b.*,*", [term("task", values=("a",), starts=("b.", ""))]),
        ("-tag:eu", [term("tag", values=("eu",), negated=True)]),
        ("tag:a tag:b tag:a", [term("tag", values=("a",)), term("tag", values=("b",))]),
        ('tag:"a b","c\\"\\\\","*"', [term("tag", values=("a b", 'c"\\', "*"))]),
        ('error:"a \\"b"', [term("error", values=('a \\"b',))]),
        ("args.user-id.x:42", [term("args", path=("user-id", "x"), values=("42",))]),
        ("-meta.k:v*", [term("meta", path=("k",), starts=("v",), negated=True)]),
        ("id:1..500", [term("id", lows=(1,), highs=(500,))]),
        ("id:3,7..9,..2", [term("id", lows=(3, 7, LEAST), highs=(3, 9, 2))]),
        ("priority:-5..5", [term("priority", lows=(-5,), highs=(5,))]),
        ("priority:>=10", [term("priority", lows=(10,), highs=(MOST,))]),
        ("attempt>2", [term("attempt", lows=(3,), highs=(MOST,))]),
        ("attempt<2", [term("attempt", lows=(LEAST,), highs=(1,))]),
        ("version:<=2", [term("version", lows=(LEAST,), highs=(2,))]),
        ("age>1h", [term("age", lows=(HOUR + 1,), highs=(MOST,))]),
        ("age:1h..2d", [term("age", lows=(HOUR,), highs=(2 * DAY,))]),
        ("created>2026-01-01", [term("created", lows=(NEW_YEAR + DAY,), highs=(MOST,))]),
        ("created>=2026-01-01", [term("created", lows=(NEW_YEAR,), highs=(MOST,))]),
        ("created<2026-01-01", [term("created", lows=(LEAST,), highs=(NEW_YEAR - 1,))]),
        ("created:2026-01-01", [term("created", lows=(NEW_YEAR,), highs=(NEW_YEAR + DAY - 1,))]),
        (
            "created:2026-01-01T01:00..2026-01-01T02:00:00+01:00",
            [term("created", lows=(NEW_YEAR + HOUR,), highs=(NEW_YEAR + HOUR,))],
        ),
    ],
)
def test_a_query_is_read(text: str, terms: list[Term]) -> None:
    assert list(parse(text)) == terms


@pytest.mark.parametrize(
    "text, what",
    [
        ("welcome", "position 1: the word 'welcome' is not known"),
        ("tag:a  owner:x", "position 8: the word 'owner' is not known"),
        ("State:failed", "position 1: the word 'State' is not known; did you mean state:?"),
        ("tag:a stat:failed", "position 7: the word 'stat' is not known; did you mean state:?"),
        ("state:faild", "position 7: 'faild' is no state; did you mean failed?"),
        ("state:failed,lost", "position 14: 'lost' is no state; allowed: blocked, scheduled"),
        ("reason:lots", "position 8: 'lots' is no reason; did you mean lost?"),
        ("tag", "position 4: tag needs a value: write tag:value"),
        ("queue=mail", "position 6: write queue:value"),
        ("tag:", "position 5: a value is missing here"),
        ("tag:a,", "position 7: a value is missing here"),
        ('tag:"a', "position 5: the quote is not closed"),
        ('tag:"a"b', "position 8: a blank or a comma is missing after the quote"),
        ("tag:a\x00", "position 5: a value is a printable text"),
        ("queue>5", "position 6: queue is no number; write queue:value"),
        ("queue:a queue:b", "position 9: queue is asked for twice"),
        ("args:1", "position 5: say which of the args: args.NAME:value"),
        ("args.a.0:1", "position 8: a name begins with a letter"),
        ("id:x", "position 4: 'x' is no value of id; allowed: a whole number"),
        ("id:1..x", "position 7: 'x' is no value of id; allowed: a whole number"),
        ("id:..", "position 4: a span has a low or a high end: 1..500"),
        ("id>1,2", "position 6: id> takes one value"),
        ("id:99999999999999999999", "position 4: '99999999999999999999' is no value of id"),
        ("age:1h", "position 5: an age is compared: age>1h"),
        ("age>soon", "position 5: 'soon' is no value of age; allowed: seconds"),
        ("created>soon", "position 9: 'soon' is no value of created; allowed: a day"),
        (" ".join(f"tag:{n}" for n in range(MAX_TERMS + 1)), "position 341: these are more than"),
    ],
)
def test_the_first_wrong_character_is_pointed_at(text: str, what: str) -> None:
    with pytest.raises(InvalidArguments, match=re.escape(what)) as caught:
        parse(text)
    assert "state:, reason:, queue:" in caught.value.help
    assert caught.value.place is not None
    said, at = caught.value.place
    assert (said, f"position {at + 1}:") == (text, what[: what.index(":") + 1])


@pytest.mark.parametrize("wrong", [3, b"state:failed", ["state:failed"], {"state": "failed"}])
def test_what_is_no_text_is_named(wrong: Any) -> None:
    with pytest.raises(InvalidArguments, match=re.escape(f"a filter is a text, not {wrong!r}")):
        parse(wrong)


def test_a_long_query_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="longer than 4,000 characters"):
        parse("tag:" + "a" * 4_000)


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [*WORDS, "args.a", "-", ":", ">", "<=", "=", ",", "..", '"', "\\", "*", " "]
        ),
        st.sampled_from(["failed", "1h", "2026-01-01", "42", "-7", "9999-12-31", "0001-01-01"]),
        st.text(max_size=5),
    ),
    max_size=12,
).map("".join)


@given(PIECES)
def test_whatever_stands_there_is_read_or_refused(text: str) -> None:
    with suppress(InvalidArguments):
        assert len(parse(text)) <= MAX_TERMS
