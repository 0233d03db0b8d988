"""Reading of ``.env`` text: ``KEY=VALUE`` lines, ``export``, quotes, comments, nothing expanded.

Only the wanted names are looked at, since the file is often shared with programs that write lines
in other ways. A reason names the line and never repeats the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*(=?)(.*)", re.DOTALL)
_QUOTED = re.compile(r"""\s*(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_COMMENT = re.compile(r"\s#.*")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def parse_dotenv(text: str, wanted: Callable[[str], bool]) -> dict[str, tuple[str, int]]:
    """Wanted names with their value and line; a later line replaces an earlier one."""
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        match = _LINE.fullmatch(line)
        if match is None or not wanted(match[1]):
            continue
        if not match[2]:
            raise ValueError(f"line {number}: {match[1]} has no `=`")
        found[match[1]] = (_value(match[3], number), number)
    return found


def _value(text: str, number: int) -> str:
    if text.lstrip().startswith(("'", '"')):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            raise ValueError(f"line {number}: the quotes do not end where the value ends")
        if quoted[1] is not None:
            return quoted[1]
        return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), quoted[2])
    return _COMMENT.sub("", text).strip()
