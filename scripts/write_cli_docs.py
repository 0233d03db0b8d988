"""Rewrite the reference in docs/cli.md from the commands."""

from __future__ import annotations

from pathlib import Path

from jobpipe.cli.document import reference

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
BEGIN = "<!-- reference: made by scripts/write_cli_docs.py -->\n"
END = "<!-- /reference -->\n"


def page_with_reference(page: str) -> str:
    """The page with its reference made anew; the prose around it stays."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{reference()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_reference(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
