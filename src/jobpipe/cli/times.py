"""Times as people read and write them on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobpipe.clock import wall_clock

UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def ago(text: str) -> str:
    """Return how far an RFC 3339 time is from now: ``3m ago``, ``in 2h``."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    seconds = round(wall_clock() / 1e6 - moment.timestamp())
    return f"in {span(-seconds)}" if seconds < 0 else f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """Return a span in its two largest units at most: ``1h 5m``, ``12s``, ``350ms``."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if part[:-1] != "0") or "0s"


def read_moment(text: str) -> datetime:
    """Return the moment that an ISO 8601 text names; raises ValueError when it has no zone."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("not a time in ISO 8601, such as 2030-01-31T09:00:00Z") from None
    if moment.utcoffset() is None:
        raise ValueError("it has no zone; end it with Z or with an offset such as +02:00")
    return moment.astimezone(UTC)


def from_now(span: timedelta) -> datetime:
    """Return the moment that is so long from now."""
    return datetime.fromtimestamp(wall_clock() / 1e6, UTC) + span


def read_span(text: str) -> timedelta:
    """Return a span: ``10m``, ``1h30m``, ``2.5`` (seconds); raises ValueError."""
    from jobpipe.policy.duration import parse_span

    return timedelta(microseconds=parse_span(text))
