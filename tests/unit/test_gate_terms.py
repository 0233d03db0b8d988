"""What operators set of gates, as they write it."""

from __future__ import annotations

import pytest

from jobpipe.app.gate_terms import override, rate
from jobpipe.errors import InvalidArguments
from jobpipe.model.gate import GateKind, RateTerms
from jobpipe.tasks.gates import as_gates


@pytest.mark.parametrize(
    "text, n, per_us",
    [
        ("100/1m", 100, 60_000_000),
        ("5/s", 5, 1_000_000),
        ("1/90s", 1, 90_000_000),
        ("1000/1h30m", 1000, 5_400_000_000),
        ("2/0.5", 2, 500_000),
        ("100/m", 100, 60_000_000),
        ("1/d", 1, 86_400_000_000),
    ],
)
def test_a_rate_is_a_number_and_a_span(text: str, n: int, per_us: int) -> None:
    terms = rate(text, 7)
    assert terms == RateTerms(n, per_us, 7)
    assert rate(text).burst >= 1
    (of_a_task,) = as_gates(GateKind.RATE, text) or ()
    assert of_a_task.terms == rate(text)


@pytest.mark.parametrize(
    "text", ["", "5", "5/", "/s", "0/s", "-1/s", "x/s", "5/0", "5/x", " 5/s", "1_0/s", 5, None]
)
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(InvalidArguments, match="option rate="):
        rate(text)
    if text is not None:  # to a task it says nothing
        with pytest.raises(InvalidArguments, match=r"option rate=.*'1/90s'"):
            as_gates(GateKind.RATE, text)


def test_terms_are_stored_as_json() -> None:
    assert override(GateKind.CONCURRENCY, 3, None) == '{"n":3}'
    assert override(GateKind.RATE, "60/1m", 2) == '{"n":60,"per_us":60000000,"burst":2}'
    assert override(GateKind.GROUP, "block", None) == '{"on_failure":"block"}'
    assert override(GateKind.RATE, None, None) is None


@pytest.mark.parametrize(
    "kind, limit, burst, option",
    [
        (GateKind.CONCURRENCY, 0, None, "concurrency"),
        (GateKind.CONCURRENCY, "3", None, "concurrency"),
        (GateKind.CONCURRENCY, 3, 1, "burst"),
        (GateKind.RATE, "5/s", 0, "burst"),
        (GateKind.RATE, None, 5, "burst"),
        (GateKind.GROUP, "stop", None, "on_failure"),
    ],
)
def test_a_wrong_limit_is_named(kind: GateKind, limit: object, burst: object, option: str) -> None:
    with pytest.raises(InvalidArguments, match=f"option {option}="):
        override(kind, limit, burst)
