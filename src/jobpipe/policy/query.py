"""The words by which people look for jobs: ``state:failed queue:mail task:mail.* tag:eu``."""

from __future__ import annotations

import re
from difflib import get_close_matches

from jobpipe.errors import InvalidArguments

WORDS = ("state", "queue", "task", "tag")
ALLOWED = "state:, queue:, task: (with `*` at its end for all that begin so) and tag:"

_WORD = re.compile(r"\S+")


def parse(text: str) -> dict[str, str]:
    """Return what is asked for by word; raises InvalidArguments naming the first wrong word."""
    asked: dict[str, str] = {}
    for found in _WORD.finditer(text):
        word, colon, value = found[0].partition(":")
        place = f"at position {found.start() + 1} of the query"
        if not colon or word not in WORDS:
            near = get_close_matches(word, WORDS, n=1)
            hint = f"; did you mean {near[0]}:?" if near and near[0] != word else ""
            raise _refusal(f"the word {found[0]!r} {place} is not known{hint}")
        if not value:
            raise _refusal(f"the word {found[0]!r} {place} says nothing after its colon")
        if word in asked:
            raise _refusal(f"the word {found[0]!r} {place} stands there twice")
        asked[word] = value
    return asked


def _refusal(what: str) -> InvalidArguments:
    return InvalidArguments(what, help=f"A query is made of the words {ALLOWED}.")
