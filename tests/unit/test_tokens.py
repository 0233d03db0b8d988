"""Entries of tokens: what is read, what is refused, and that no token is ever repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobpipe.config.document import as_texts, describe
from jobpipe.config.load import load_effective, load_settings
from jobpipe.config.tokens import TokenEntry, mask_tokens, read_lines, read_tokens
from jobpipe.errors import ConfigError
from jobpipe.model.role import Role

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of ``abc``."""
SECRET = "s3cret-of-nobody"


def test_a_token_and_its_hash_are_the_same_entry() -> None:
    wanted = TokenEntry("ci", Role.PRODUCER, bytes.fromhex(ABC))
    assert read_tokens("ci:producer:abc") == (wanted,)
    assert read_tokens(f"ci:producer:sha256:{ABC.upper()}") == (wanted,)


def test_entries_are_separated_by_commas_and_blanks() -> None:
    entries = read_tokens(" a:viewer:1,b:worker:2\n c:admin:x:y ,")
    assert [(each.name, each.role) for each in entries] == [
        ("a", "viewer"),
        ("b", "worker"),
        ("c", "admin"),
    ]
    assert entries[2] == read_tokens(["c:admin:x:y"])[0]  # a token may hold colons


def test_a_file_has_comments_and_blank_lines() -> None:
    entries = read_lines(f"# who\n\na:viewer:1\r\n  b:admin:sha256:{ABC}\n")
    assert [each.name for each in entries] == ["a", "b"]
    assert read_lines("") == ()


@pytest.mark.parametrize(
    "text,reason",
    [
        (SECRET, "entry 1 is not of the form `name:role:token`"),
        (f"a:viewer:1,{SECRET}:viewer", "entry 2 is not of the form `name:role:token`"),
        (f"ü:viewer:{SECRET}", "entry 1 is not of the form `name:role:token`"),
        (f"ci:boss:{SECRET}", "the role of 'ci' is none of viewer, producer, worker, operator"),
        ("ci:admin:sha256:12ab", "the hash of 'ci' is not 64 hexadecimal digits"),
        ("ci:admin:", "the token of 'ci' is not 1 to 512 visible ASCII characters"),
        (f"ci:admin:{SECRET}é", "the token of 'ci' is not 1 to 512 visible ASCII characters"),
        ("ci:admin:" + "x" * 513, "the token of 'ci' is not 1 to 512 visible ASCII characters"),
        (f"ci:admin:{SECRET} ci:viewer:2", "two entries are named 'ci'"),
        (f"a:admin:{SECRET} b:viewer:{SECRET}", "'a' and 'b' have the same token"),
    ],
)
def test_a_bad_entry_is_named_and_its_token_is_not(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(environ={"JOBPIPE_TOKENS": text}, directory=tmp_path)
    message = str(refused.value)
    assert message.startswith(f"env JOBPIPE_TOKENS = '***': {reason}")
    assert SECRET not in message


def test_settings_show_names_and_roles_and_pass_on_hashes(tmp_path: Path) -> None:
    given = {"JOBPIPE_TOKENS": f"ci:producer:{SECRET} ann:admin:abc"}
    effective = load_effective(environ=given, directory=tmp_path)
    (row,) = [row for row in describe(effective) if row.env == "JOBPIPE_TOKENS"]
    assert row.value == "ci:producer:***,ann:admin:***"
    assert SECRET not in repr(effective.settings)
    text = as_texts(effective.settings)["tokens"]
    assert text.endswith(f",ann:admin:sha256:{ABC}")
    assert SECRET not in text
    assert read_tokens(text) == effective.settings.tokens


def test_nothing_of_an_odd_text_is_shown() -> None:
    assert mask_tokens(f"ci:producer:{SECRET}") == "***"


def test_no_more_entries_than_the_bound() -> None:
    with pytest.raises(ValueError, match="more than 10000 entries"):
        read_tokens([f"n{number}:viewer:{number}" for number in range(10_001)])
