"""The file of tokens: edited by many at once, read by services that follow it within a second."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from jobpipe.config import tokens_file
from jobpipe.config.tokens import read_tokens
from jobpipe.errors import ConfigError
from jobpipe.http.tokens import TokenBook, find
from jobpipe.model.role import Role


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def names(book: TokenBook) -> list[str]:
    return [entry.name for entry in book.entries()]


def test_a_token_is_made_kept_as_a_hash_and_found_again(path: Path) -> None:
    token = tokens_file.create(path, "ci", Role.PRODUCER)
    assert token.startswith("jp_")
    assert len(token) == 3 + 43  # 256 bits in base64
    assert token not in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = find(TokenBook((), str(path)).entries(), token.encode())
    assert found is not None
    assert (found.name, found.role) == ("ci", "producer")
    assert tokens_file.create(path, "other", Role.ADMIN) != token
    assert [entry.name for entry in tokens_file.entries(path)] == ["ci", "other"]


def test_other_lines_and_the_mode_stay(path: Path) -> None:
    path.write_text("# ours\na:viewer:plain\n\n# end", encoding="utf-8")
    path.chmod(0o640)
    tokens_file.create(path, "b", Role.WORKER)
    assert tokens_file.revoke(path, "a")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ours\n\n# end\nb:worker:sha256:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not tokens_file.revoke(path, "a")


def test_what_cannot_be_done_is_told(path: Path, tmp_path: Path) -> None:
    tokens_file.create(path, "a", Role.VIEWER)
    with pytest.raises(ConfigError, match="holds a token named 'a' already"):
        tokens_file.create(path, "a", Role.VIEWER)
    with pytest.raises(ConfigError, match="'a b' is no name of a token"):
        tokens_file.create(path, "a b", Role.VIEWER)
    with pytest.raises(ConfigError, match="No such file or directory"):
        tokens_file.create(tmp_path / "none" / "tokens", "a", Role.VIEWER)
    path.write_text("a:viewer\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="entry 1 is not of the form"):
        tokens_file.create(path, "b", Role.VIEWER)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        tokens_file.entries(path)


def test_many_edit_it_at_once_and_nobody_is_lost(path: Path) -> None:
    def edit(number: int) -> None:
        for turn in range(5):
            tokens_file.create(path, f"{number}-{turn}", Role.VIEWER)
        tokens_file.revoke(path, f"{number}-0")

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sorted(entry.name for entry in tokens_file.entries(path))
    assert found == sorted(f"{number}-{turn}" for number in range(8) for turn in range(1, 5))
    assert [each.name for each in path.parent.iterdir()] == ["tokens"]


def test_a_service_follows_the_file_within_a_second(path: Path) -> None:
    clock = Clock()
    tokens_file.create(path, "a", Role.VIEWER)
    book = TokenBook(read_tokens("fixed:admin:x"), str(path), clock)
    assert names(book) == ["fixed", "a"]
    tokens_file.create(path, "b", Role.VIEWER)
    clock.now = 0.99
    assert names(book) == ["fixed", "a"]  # at most one look a second
    clock.now = 1.0
    assert names(book) == ["fixed", "a", "b"]
    tokens_file.revoke(path, "a")
    clock.now = 2.0
    assert names(book) == ["fixed", "b"]


@pytest.mark.parametrize("harm", ["missing", "broken", "binary", "huge"])
def test_a_file_that_cannot_be_used_keeps_nothing_open(path: Path, harm: str) -> None:
    clock = Clock()
    tokens_file.create(path, "a", Role.VIEWER)
    book = TokenBook(read_tokens("fixed:admin:x"), str(path), clock)
    assert names(book) == ["fixed", "a"]
    good = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        harms = {"broken": b"b:boss:s3cret", "binary": b"\xff", "huge": b"#" * 5_000_000}
        path.write_bytes(good + harms[harm])
    clock.now = 1.0
    assert names(book) == ["fixed"]
    assert book.problem is not None
    assert "s3cret" not in book.problem
    path.write_bytes(good)
    clock.now = 2.0
    assert names(book) == ["fixed", "a"]
    assert book.problem is None
