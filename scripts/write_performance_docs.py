"""Rewrite the figures of docs/performance.md: the report of the committed run of the benchmark."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.harness.report import markdown  # noqa: E402
from bench.harness.results import read  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
RUN = ROOT / "bench" / "results" / "full.json"
PICTURES = "performance"
"""Their folder, as the page sees it."""
BEGIN = "<!-- performance: made by scripts/write_performance_docs.py -->\n"
END = "<!-- /performance -->\n"


def figures() -> str:
    """The report as a part of the page: one heading lower, and without its title."""
    text = markdown(read(RUN), PICTURES).removeprefix("# Benchmark\n\n")
    return re.sub(r"^## ", "### ", text, flags=re.MULTILINE)


def page_with_figures(page: str) -> str:
    """The page with its figures made anew; the prose around them stays."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{figures()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_figures(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
