"""Rewrites statements of a dialect before the store reads them."""

from __future__ import annotations

from jobpipe.store import statements
from jobpipe.store.sqlite import driver


def rewrite(dialect: str, statement: str, *changes: tuple[str, str]) -> None:
    """Replace texts of one statement of a dialect (``sqlite``, ``postgres``).

    Each must stand in it: otherwise the bug would not be planted.
    """
    load = statements.load

    def load_rewritten(package: str, prefix: str) -> dict[str, str]:
        texts = load(package, prefix)
        if package.endswith(dialect):
            for old, new in changes:
                assert old in texts[statement], f"{statement} has no {old!r}"
                texts[statement] = texts[statement].replace(old, new)
        return texts

    statements.load = load_rewritten
    driver.load_statements = load_rewritten  # type: ignore[attr-defined]
