"""The lines of a ``.env`` file: what counts, what is left alone, what is refused."""

from __future__ import annotations

import pytest

from jobpipe.config.dotenv import parse_dotenv


def wanted(name: str) -> bool:
    """The names these tests look for."""
    return name.startswith("K")


@pytest.mark.parametrize(
    "line,value",
    [
        ("K=v", "v"),
        ("  K = v  ", "v"),
        ("export K=v", "v"),
        ("K=", ""),
        ("K=a b c", "a b c"),
        ("K=a # note", "a"),
        ("K=a#b", "a#b"),
        ("K= # note", ""),
        ("K=a=b=c", "a=b=c"),
        ("K='a # b'", "a # b"),
        ("K='a\\n$X' # note", "a\\n$X"),
        ('K="a # b"', "a # b"),
        (r'K="a\n\"b\"\\c\d"', 'a\n"b"\\c\\d'),
        ("K=$HOME/${X}", "$HOME/${X}"),
        ("K=it's", "it's"),
        ("K=''", ""),
        ("K=v\r", "v"),
    ],
)
def test_a_line_is_read(line: str, value: str) -> None:
    assert parse_dotenv(line, wanted) == {"K": (value, 1)}


def test_lines_of_others_are_left_alone() -> None:
    text = "# K=1\n\nOTHER='open\nnot a line\n---\nexport\nK2=2\n1K=3\n"
    assert parse_dotenv(text, wanted) == {"K2": ("2", 7)}


def test_the_last_line_of_a_name_counts() -> None:
    assert parse_dotenv("K=1\nK=2\n", wanted) == {"K": ("2", 2)}


@pytest.mark.parametrize(
    "line,reason",
    [
        ("K", "line 1: K has no `=`"),
        ("K v", "line 1: K has no `=`"),
        ("K='secret", "line 1: the quotes do not end"),
        ('K="secret', "line 1: the quotes do not end"),
        ("K='a'b", "line 1: the quotes do not end"),
    ],
)
def test_a_malformed_line_is_refused_without_its_value(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        parse_dotenv(line, wanted)
    assert "secret" not in str(refusal.value)
