"""What one request to run a task may ask for beside its arguments.

``None`` means that the task's own option, or else the application's default, decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from jobpipe.errors import InvalidArguments
from jobpipe.model.gate import GateKind
from jobpipe.model.job import MAX_PRIORITY, MIN_PRIORITY
from jobpipe.tasks import spec
from jobpipe.tasks.codec import encode_plain, show
from jobpipe.tasks.gates import AnyConcurrency, AnyGroup, AnyRate, Gates, as_gates
from jobpipe.tasks.unique import Unique, as_unique

MAX_TAGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Checked options of a request, in the units of the store."""

    priority: int | None = None
    delay_us: int | None = None
    run_at: int | None = None
    queue: str | None = None
    max_attempts: int | None = None
    idempotency_key: str | None = None
    tags: str | None = None
    meta: str | None = None
    expires_in_us: int | None = None
    timeout_us: int | None = None
    tenant: str | None = None
    unique: Unique | Literal[False] | None = None
    concurrency: Gates | None = None
    rate: Gates | None = None
    group: Gates | None = None
    on: object | None = None

    def merged(self, later: Options) -> Options:
        """Return these options with those of ``later`` put over them."""
        given = {
            field.name: value
            for field in fields(later)
            if (value := getattr(later, field.name)) is not None
        }
        if "delay_us" in given or "run_at" in given:
            given = {"delay_us": None, "run_at": None} | given
        return replace(self, **given)


def check(
    *,
    priority: int | None = None,
    run_after: timedelta | datetime | None = None,
    queue_name: str | None = None,
    max_attempts: int | None = None,
    idempotency_key: str | None = None,
    tags: Sequence[str] | None = None,
    meta: Mapping[str, Any] | None = None,
    expires_in: timedelta | float | None = None,
    timeout: timedelta | float | None = None,
    tenant: str | None = None,
    unique: Unique | str | bool | None = None,
    concurrency: AnyConcurrency | None = None,
    rate: AnyRate | None = None,
    group: AnyGroup | None = None,
    on: object | None = None,
) -> Options:
    """Check the options of a request; raises InvalidArguments naming the first wrong one."""
    return Options(
        priority=_whole("priority", priority, MIN_PRIORITY, MAX_PRIORITY),
        delay_us=_delay(run_after),
        run_at=micros(run_after) if isinstance(run_after, datetime) else None,
        queue=_queue(queue_name),
        max_attempts=_whole("max_attempts", max_attempts, 1, spec.MAX_ATTEMPTS),
        idempotency_key=_name("idempotency_key", idempotency_key),
        tags=_tags(tags),
        meta=_meta(meta),
        expires_in_us=_span("expires_in", expires_in),
        timeout_us=_span("timeout", timeout),
        tenant=_name("tenant", tenant),
        unique=as_unique(unique),
        concurrency=as_gates(GateKind.CONCURRENCY, concurrency),
        rate=as_gates(GateKind.RATE, rate),
        group=as_gates(GateKind.GROUP, group),
        on=on,
    )


def micros(moment: datetime) -> int:
    """Return an aware datetime in microseconds since 1970; raises InvalidArguments."""
    if moment.utcoffset() is None:
        raise refusal(
            "run_after", moment, "an aware datetime (one with a tzinfo); this one is naive"
        )
    try:
        moment.astimezone(UTC)
    except OverflowError:  # its offset leads out of what can be shown again
        raise refusal("run_after", moment, "a time from year 1 to year 9999 in UTC") from None
    return (moment - _EPOCH) // timedelta(microseconds=1)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def refusal(option: str, value: object, allowed: str) -> InvalidArguments:
    """Return what refuses the value of an option."""
    return InvalidArguments(
        f"option {option}={show(value)} is refused; allowed: {allowed}",
        help="Correct the option that the message names; nothing was changed.",
    )


def _whole(option: str, value: int | None, low: int, high: int) -> int | None:
    if value is None or spec.is_whole(value, low, high):
        return value
    raise refusal(option, value, f"a whole number from {low} to {high}")


def _delay(value: object) -> int | None:
    if value is None or isinstance(value, datetime):
        return None
    span = spec.seconds(value) if isinstance(value, timedelta) else None
    if span is None:
        raise refusal("run_after", value, "a timedelta (at most 100 years) or an aware datetime")
    return max(0, round(span * 1_000_000))


def _span(option: str, value: object) -> int | None:
    if value is None:
        return None
    span = spec.seconds(value)
    if span is None or span < 1e-6:
        raise refusal(option, value, "seconds above 0 (at most 100 years), or a timedelta")
    return round(span * 1_000_000)


def _queue(value: str | None) -> str | None:
    if value is None or spec.is_queue(value):
        return value
    raise refusal("queue_name", value, spec.QUEUE_ALLOWED)


def _name(option: str, value: str | None) -> str | None:
    if value is None or spec.is_name(value):
        return value
    raise refusal(option, value, spec.NAME_ALLOWED)


def _tags(value: object) -> str | None:
    if value is None:
        return None
    if (
        isinstance(value, str | bytes)
        or not isinstance(value, Sequence)
        or len(value) > MAX_TAGS
        or not all(spec.is_name(tag) for tag in value)
    ):
        raise refusal("tags", value, f"up to {MAX_TAGS} strings, each of {spec.NAME_ALLOWED}")
    return encode_plain("tags", [str(tag) for tag in value])


def _meta(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise refusal("meta", value, "a mapping of strings to plain JSON values")
    return encode_plain("meta", dict(value))
