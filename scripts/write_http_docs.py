"""Rewrite the tables of docs/http.md from the endpoints and the table of statuses."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import jobpipe.http
from jobpipe.http.endpoint import PUBLIC
from jobpipe.http.openapi import PARAMETER
from jobpipe.http.problems import STATUSES
from jobpipe.http.routes import ENDPOINTS

HTTP = Path(jobpipe.http.__path__[0])
PAGE = Path(__file__).parent.parent / "docs" / "http.md"
CALLS = "<!-- calls: made by scripts/write_http_docs.py -->\n", "<!-- /calls -->\n"
REFUSALS = "<!-- refusals: made by scripts/write_http_docs.py -->\n", "<!-- /refusals -->\n"
CODES = "<!-- codes: made by scripts/write_http_docs.py -->\n", "<!-- /codes -->\n"


def page_with_tables(page: str) -> str:
    """The page with its tables made anew; the prose around them stays."""
    for marks, table in ((CALLS, _calls()), (REFUSALS, _refusals()), (CODES, _codes())):
        page = _with(page, marks, table)
    return page


def _with(page: str, marks: tuple[str, str], table: str) -> str:
    before, _, rest = page.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return f"{before}{marks[0]}{table}{marks[1]}{after}"


def _calls() -> str:
    lines = ["| call | what it does | role |", "|---|---|---|"]
    for each in ENDPOINTS:
        path = PARAMETER.sub(r"{\1}", each.path)
        role = "everybody" if each.role == PUBLIC else f"`{each.role}`"
        lines.append(f"| `{each.method} {path}` | {each.summary} | {role} |")
    return "\n".join(lines) + "\n"


def _refusals() -> str:
    return _table(each for path in HTTP.rglob("*.py") for each in _problems(path))


def _problems(path: Path) -> Iterator[tuple[int, str]]:
    """Status and code of each problem that a file of the service names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Name("Problem"),
                args=[ast.Constant(int(status)), ast.Constant(str(code)), *_],
            ):
                yield status, code


def _codes() -> str:
    return _table((status, kind.code) for kind, status in STATUSES.items())


def _table(codes: Iterable[tuple[int, str]]) -> str:
    lines = ["| status | code |", "|---|---|"]
    lines += [f"| {status} | `{code}` |" for status, code in sorted(set(codes))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
