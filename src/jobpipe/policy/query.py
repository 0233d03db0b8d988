"""The words by which people look for jobs: ``state:failed,parked task:mail.* -tag:eu age>1h``.

A query is terms with blanks between them, which must all hold. ``docs/steering.md`` tells them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import NamedTuple, NoReturn

import msgspec

from jobpipe.errors import InvalidArguments
from jobpipe.model.filter import LEAST, MOST, Term
from jobpipe.model.state import Reason, State
from jobpipe.policy.duration import SPAN_ALLOWED, parse_span
from jobpipe.policy.moment import MOMENT_ALLOWED, parse_moment

MAX_LENGTH = 4_000
"""Longest query, in characters."""
MAX_TERMS = 50

CHOICES: dict[str, tuple[str, ...]] = {"state": tuple(State), "reason": tuple(Reason)}
SINGLE = ("state", "reason", "queue", "task", "group", "tenant", "worker")
"""Words of a text of which a job has one at most."""
TEXTS = (*SINGLE, "tag", "error")
PATHS = ("args", "meta")

Span = tuple[int, int]


def _whole(text: str) -> Span:
    if not _WHOLE.fullmatch(text):
        raise ValueError("a whole number")
    return int(text), int(text)


def _age(text: str) -> Span:
    try:
        span = parse_span(text)
    except ValueError:
        raise ValueError(SPAN_ALLOWED) from None
    return span, span


def _moment(text: str) -> Span:
    try:
        return parse_moment(text)
    except ValueError:
        raise ValueError(MOMENT_ALLOWED) from None


NUMBERS: dict[str, Callable[[str], Span]] = {
    **dict.fromkeys(("id", "priority", "attempt", "version"), _whole),
    "created": _moment,
    "age": _age,
}
WORDS = (*TEXTS, *NUMBERS, *PATHS)
ALLOWED = (
    f"A filter is made of {', '.join(f'{word}:' for word in TEXTS)} args.NAME: and meta.NAME: with"
    f" a value, several with commas, and of {', '.join(NUMBERS)} with a number, LOW..HIGH or"
    " > >= < <=. A minus before it means: not."
)

_BLANKS = re.compile(r"\s*")
_HEAD = re.compile(r'(-?)([^\s:<>=,"]*)(=|:?(?:[<>]=?)?)')
_VALUE = re.compile(r'"((?:[^"\\]|\\["\\])*)"|([^\s,"][^\s,]*)')
_KEY = re.compile(r"[^\W\d][\w-]*")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_ESCAPE = re.compile(r'\\(["\\])')


class Value(NamedTuple):
    """A value as it stands in the query."""

    text: str
    quoted: bool
    at: int


def parse(text: str) -> tuple[Term, ...]:
    """Return the terms; raises InvalidArguments that points at the first wrong character."""
    if not isinstance(text, str):
        raise InvalidArguments(f"a filter is a text, not {text!r:.80}", help=ALLOWED)
    if len(text) > MAX_LENGTH:
        raise InvalidArguments(f"the filter is longer than {MAX_LENGTH:,} characters")
    terms: list[Term] = []
    at = _skip(text, 0)
    while at < len(text):
        term, end = _term(text, at)
        if len(terms) == MAX_TERMS:
            _refuse(text, at, f"these are more than {MAX_TERMS} terms")
        if (word := asked_twice([*terms, term])) is not None:
            _refuse(text, at, f"{word} is asked for twice, and a job has one; use {word}:a,b")
        terms.append(term)
        at = _skip(text, end)
    return tuple(dict.fromkeys(terms))


def asked_twice(terms: list[Term]) -> str | None:
    """Return a word whose terms no job can meet together, since it has one such text at most."""
    for word in SINGLE:
        if len({term for term in terms if term.word == word and not term.negated}) > 1:
            return word
    return None


def text_term(word: str, value: str) -> Term:
    """Return the term that a value without blanks or quotes around it means."""
    return _text_term(word, (), [Value(value, False, 0)], False)


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


def _term(text: str, at: int) -> tuple[Term, int]:
    head = _HEAD.match(text, at)
    assert head is not None  # it matches the empty text, too
    word, *path = head[2].split(".")
    negated, operator = head[1] == "-", head[3]
    _check_word(text, head.start(2), head[2], word, operator)
    if operator == "=":
        _refuse(text, head.start(3), f"write {head[2]}:value")
    compared = operator.lstrip(":")
    if compared and word not in NUMBERS:
        _refuse(text, head.start(3), f"{word} is no number; write {head[2]}:value")
    values, end = _values(text, head.end())
    if word in NUMBERS:
        return _number_term(text, word, compared, values, negated), end
    if word in PATHS:
        _check_path(text, head.start(2), word, path)
    for value in values:
        if word in CHOICES and value.text not in CHOICES[word]:
            _refuse(text, value.at, _unknown(f"{value.text!r} is no {word}", value.text, word))
    return _text_term(word, tuple(path), values, negated), end


def _check_word(text: str, at: int, said: str, word: str, operator: str) -> None:
    if word not in WORDS or (said != word and word not in PATHS):
        near = get_close_matches(word, WORDS, n=1)
        hint = f"; did you mean {near[0]}:?" if near and near[0] != said else ""
        shown = said or text[at : at + 1] or "-"
        _refuse(text, at, f"the word {shown!r} is not known{hint}")
    if not operator:
        _refuse(text, at + len(said), f"{word} needs a value: write {said}:value")


def _check_path(text: str, at: int, word: str, path: list[str]) -> None:
    at += len(word)
    if not path:
        _refuse(text, at, f"say which of the {word}: {word}.NAME:value")
    for key in path:
        at += 1
        if not _KEY.fullmatch(key):
            _refuse(text, at, "a name begins with a letter and holds letters, digits, _ and -")
        at += len(key)


def _values(text: str, at: int) -> tuple[list[Value], int]:
    values: list[Value] = []
    while True:
        found = _VALUE.match(text, at)
        if found is None:
            opened = text[at : at + 1] == '"'
            _refuse(text, at, "the quote is not closed" if opened else "a value is missing here")
        value = found[2] if found[1] is None else _ESCAPE.sub(r"\1", found[1])
        if not value.isprintable():
            _refuse(text, at, "a value is a printable text")
        values.append(Value(value, found[2] is None, at))
        at = found.end()
        if text[at : at + 1] != ",":
            break
        at += 1
    if at < len(text) and not text[at].isspace():
        _refuse(text, at, "a blank or a comma is missing after the quote")
    return values, at


def _text_term(word: str, path: tuple[str, ...], values: list[Value], negated: bool) -> Term:
    if word == "error":  # looked for in JSON as it stands, so it is written like there
        exact = tuple(msgspec.json.encode(each.text).decode()[1:-1] for each in values)
        return Term(word=word, values=exact, negated=negated)
    starts = [each for each in values if each.text.endswith("*") and not each.quoted]
    return Term(
        word=word,
        path=path,
        values=tuple(each.text for each in values if each not in starts),
        starts=tuple(each.text[:-1] for each in starts),
        negated=negated,
    )


def _number_term(text: str, word: str, compared: str, values: list[Value], negated: bool) -> Term:
    if compared and len(values) > 1:
        _refuse(text, values[1].at, f"{word}{compared} takes one value")
    spans = [_span(text, word, compared, value) for value in values]
    return Term(
        word=word,
        lows=tuple(low for low, _ in spans),
        highs=tuple(high for _, high in spans),
        negated=negated,
    )


def _span(text: str, word: str, compared: str, value: Value) -> Span:
    if compared:
        first, last = _number(text, word, value.text, value.at)
        edges = {
            ">": (last + 1, MOST),
            ">=": (first, MOST),
            "<": (LEAST, first - 1),
            "<=": (LEAST, last),
        }
        return edges[compared]
    low, dots, high = value.text.partition("..")
    if not dots:
        if word == "age":
            _refuse(text, value.at, "an age is compared: age>1h, age<2d or age:1h..2d")
        return _number(text, word, low, value.at)
    if not (low or high):
        _refuse(text, value.at, "a span has a low or a high end: 1..500")
    first = _number(text, word, low, value.at)[0] if low else LEAST
    at = value.at + len(low) + 2
    return first, _number(text, word, high, at)[1] if high else MOST


def _number(text: str, word: str, said: str, at: int) -> Span:
    try:
        return NUMBERS[word](said)
    except ValueError as error:
        _refuse(text, at, f"{said!r} is no value of {word}; allowed: {error}")


def _unknown(what: str, said: str, word: str) -> str:
    near = get_close_matches(said, CHOICES[word], n=1)
    if near:
        return f"{what}; did you mean {near[0]}?"
    return f"{what}; allowed: {', '.join(CHOICES[word])}"


def _refuse(text: str, at: int, what: str) -> NoReturn:
    error = InvalidArguments(f"position {at + 1}: {what}", help=ALLOWED)
    error.place = text, at
    raise error
