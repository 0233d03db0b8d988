"""Rewrite the table of docs/settings.md from the declarations of the settings."""

from __future__ import annotations

from pathlib import Path

from jobpipe.config.document import settings_table

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
BEGIN = "<!-- settings: made by scripts/write_settings_docs.py -->\n"
END = "<!-- /settings -->\n"


def page_with_table(page: str) -> str:
    """The page with its table made anew; the prose around it stays."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{settings_table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
