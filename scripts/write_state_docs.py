"""Rewrite the picture and the tables of docs/states.md from the table of states."""

from __future__ import annotations

from pathlib import Path

from jobpipe.model.state import EDGES, FINAL, INITIAL, REASONS, RERUN, Reason, State

PAGE = Path(__file__).parent.parent / "docs" / "states.md"
BEGIN = "<!-- states: made by scripts/write_state_docs.py -->\n"
END = "<!-- /states -->\n"


def state_diagram() -> str:
    """The states and every legal step as a Mermaid diagram."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {state}" for state in State if state in INITIAL]
    for before, after in EDGES.items():
        lines += [f"    {before} --> {state}" for state in State if state in after]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join([*lines, "```"]) + "\n"


def tables() -> str:
    """The same in words: where each state leads, and the reasons that stand beside a state."""
    lines = ["| state | may become |", "|---|---|"]
    for before, after in EDGES.items():
        targets = after or RERUN
        words = ", ".join(f"`{state}`" for state in State if state in targets)
        lines.append(f"| `{before}` | {words if after else f'by a re-run only: {words}'} |")
    lines += ["", "| state | its reasons |", "|---|---|"]
    for state, reasons in REASONS.items():
        words = ", ".join(f"`{reason}`" for reason in Reason if reason in reasons)
        lines.append(f"| `{state}` | {words} |")
    return "\n".join(lines) + "\n"


def page_with_states(page: str) -> str:
    """The page with its picture and tables made anew; the prose around them stays."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{state_diagram()}\n{tables()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_states(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
