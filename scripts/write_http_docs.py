"""Rewrite the tables of docs/http.md from the endpoints and the table of statuses."""

from __future__ import annotations

from pathlib import Path

from jobpipe.http.endpoint import PUBLIC
from jobpipe.http.openapi import PARAMETER
from jobpipe.http.problems import STATUSES
from jobpipe.http.routes import ENDPOINTS

PAGE = Path(__file__).parent.parent / "docs" / "http.md"
CALLS = "<!-- calls: made by scripts/write_http_docs.py -->\n", "<!-- /calls -->\n"
CODES = "<!-- codes: made by scripts/write_http_docs.py -->\n", "<!-- /codes -->\n"


def page_with_tables(page: str) -> str:
    """The page with its tables made anew; the prose around them stays."""
    return _with(_with(page, CALLS, _calls()), CODES, _codes())


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


def _codes() -> str:
    lines = ["| status | code |", "|---|---|"]
    for kind, status in sorted(STATUSES.items(), key=lambda item: (item[1], item[0].code)):
        lines.append(f"| {status} | `{kind.code}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
