"""How long final jobs are kept before they are pruned, for each final state on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobpipe.policy.duration import UNITS_US, format_span, parse_span

RETENTION_ALLOWED = (
    "`state=span` pairs for `succeeded`, `cancelled`, `failed`; "
    "a span like `12h` or `7d`, `0` at once, `never`; a state left out keeps its default"
)
_STATES = ("succeeded", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Retention:
    """Microseconds that jobs of a final state are kept; 0 prunes at once, None never."""

    succeeded_us: int | None = 7 * UNITS_US["d"]
    cancelled_us: int | None = 7 * UNITS_US["d"]
    failed_us: int | None = 90 * UNITS_US["d"]

    def __str__(self) -> str:
        spans = (self.succeeded_us, self.cancelled_us, self.failed_us)
        return ",".join(
            f"{state}={'never' if span is None else format_span(span)}"
            for state, span in zip(_STATES, spans, strict=True)
        )


def parse_retention(value: str | Mapping[str, object]) -> Retention:
    """The retention in a text or in a table of spans; ``ValueError`` says what is wrong."""
    spans: dict[str, int | None] = {}
    for state, span in _pairs(value):
        if state not in _STATES:
            raise ValueError(f"{state!r} is no final state: {', '.join(_STATES)}")
        if state in spans:
            raise ValueError(f"{state!r} stands there twice")
        try:
            never = isinstance(span, str) and span.strip().lower() == "never"
            spans[state] = None if never else parse_span(span)
        except ValueError as error:
            raise ValueError(f"the span of {state!r} is {error}") from None
    if not spans:
        raise ValueError("no state is named")
    return Retention(**{f"{state}_us": span for state, span in spans.items()})


def _pairs(value: str | Mapping[str, object]) -> list[tuple[str, object]]:
    if not isinstance(value, str):
        return list(value.items())
    pairs: list[tuple[str, object]] = []
    for part in value.split(","):
        state, equals, span = part.partition("=")
        if not equals:
            raise ValueError(f"{part.strip()!r} is no `state=span` pair")
        pairs.append((state.strip(), span.strip()))
    return pairs
