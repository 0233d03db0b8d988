"""Rewrite the tables of docs/reliability.md: the sums of the reliability ledger."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.process.torture.record import Count, Line, lines, total_of  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- reliability: made by scripts/write_reliability_docs.py -->\n"
END = "<!-- /reliability -->\n"
STORES = ("sqlite", "postgresql")


def tables(found: Sequence[Line]) -> str:
    """The sums by store, and how often each fault met a running job."""
    of = {store: [line for line in found if line.store == store] for store in STORES}
    rows = [
        ("runs", *(str(len(of[store])) for store in STORES)),
        ("minutes", *(f"{sum(line.minutes for line in of[store]):g}" for store in STORES)),
        ("jobs", *(f"{sum(line.jobs for line in of[store]):,}" for store in STORES)),
        ("attempts", *(f"{sum(line.attempts for line in of[store]):,}" for store in STORES)),
        (
            "power cuts",
            *(f"{sum(line.power_cut_points for line in of[store]):,}" for store in STORES),
        ),
        ("stalls", *(f"{sum(line.stalls for line in of[store]):,}" for store in STORES)),
        ("**anomalies**", *(anomalies(of[store]) for store in STORES)),
    ]
    totals = {store: total_of(of[store]) for store in STORES}
    names = sorted({name for total in totals.values() for name in total})
    faults = [(name, *(met(totals[store].get(name)) for store in STORES)) for name in names]
    return table("sums", rows) + "\n" + table("fault: met a running job (of all)", faults)


def anomalies(of: Sequence[Line]) -> str:
    """How many anomalies there were, and which."""
    kinds = sorted({kind for line in of for kind, number in line.anomalies.items() if number})
    number = sum(sum(line.anomalies.values()) for line in of)
    return f"{number} ({', '.join(kinds)})" if kinds else "0"


def met(count: Count | None) -> str:
    return f"{count.met:,} ({count.injected:,})" if count else ""


def table(title: str, rows: Sequence[Sequence[str]]) -> str:
    head = [f"| {title} | SQLite | PostgreSQL |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def page_with_sums(page: str) -> str:
    """The page with its tables made anew; the prose around them stays."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables(lines())}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_sums(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
