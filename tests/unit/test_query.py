"""The words of a query, and what is refused."""

from __future__ import annotations

import re

import pytest

from jobpipe.errors import InvalidArguments
from jobpipe.policy.query import parse


@pytest.mark.parametrize(
    "text, asked",
    [
        ("", {}),
        ("  ", {}),
        ("state:failed", {"state": "failed"}),
        (" task:mail.*\ttag:a:b ", {"task": "mail.*", "tag": "a:b"}),
        ("queue:q state:queued", {"queue": "q", "state": "queued"}),
    ],
)
def test_words_are_told_apart(text: str, asked: dict[str, str]) -> None:
    assert parse(text) == asked


@pytest.mark.parametrize(
    "text, what",
    [
        ("welcome", "the word 'welcome' at position 1 of the query is not known"),
        ("tag:a  group:x", "the word 'group:x' at position 8 of the query is not known"),
        ("State:failed", "the word 'State:failed' at position 1"),
        ("stat:failed", "not known; did you mean state:?"),
        ("tag:", "the word 'tag:' at position 1 of the query says nothing"),
        ("tag:a tag:b", "the word 'tag:b' at position 7 of the query stands there twice"),
    ],
)
def test_a_wrong_word_is_named_with_its_place(text: str, what: str) -> None:
    with pytest.raises(InvalidArguments, match=re.escape(what)) as caught:
        parse(text)
    assert "state:, queue:, task:" in caught.value.help
