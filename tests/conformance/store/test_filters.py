"""A filter finds the same jobs on every store, and just those that it means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobpipe.model.filter import Filter, Term
from jobpipe.model.job import JobRecord
from jobpipe.model.state import Reason, State
from jobpipe.policy.query import parse
from jobpipe.store.ops import read
from tests.conformance.clock import MINUTE
from tests.conformance.lab import Lab


def found(lab: Lab, query: str) -> list[int]:
    page = lab.run(read.jobs(Filter(terms=parse(query)), 100, lambda: True))
    return [job.id for job in page.jobs]


@pytest.mark.parametrize(
    "query, is_found",
    [
        ("args.user_id:42", True),
        ("args.user_id:42,43", True),
        ("args.user_id:4*", True),
        ("args.user_id:4", False),
        ("-args.user_id:42", False),
        ("args.user:42", False),
        ("args.text:42", True),
        ("args.a.b:deep", True),
        ("args.a:deep", False),
        ("args.a.b.c:deep", False),
        ("args.yes:true args.no:false args.nothing:null", True),
        ("args.half:0.5", True),
        ("args.half:.5", False),
        ("args.list:1", False),
        ('args.quote:"a \\"b\\" c"', True),
        ("args.größe:7", True),
        ("args.dash-ed:x", True),
        ("meta.k:v", True),
        ("meta.k:V", False),
        ("-meta.other:v", True),
        ("args.k:v", False),
    ],
)
def test_json_is_compared_as_it_is_written(lab: Lab, query: str, is_found: bool) -> None:
    args = {"user_id": 42, "text": "42", "a": {"b": "deep"}, "yes": True, "no": False}
    args |= {"nothing": None, "half": 0.5, "list": [1], "quote": 'a "b" c', "größe": 7}
    args["dash-ed"] = "x"
    id = lab.new(args=json.dumps(args, ensure_ascii=False), meta='{"k":"v"}')
    lab.new()
    assert (id in found(lab, query)) is is_found


@pytest.mark.parametrize(
    "query, is_found",
    [
        ("error:Timeout", True),
        ("error:slow", True),
        ('error:"says \\"slow\\""', True),
        ("error:Value,slow", True),
        ("error:timeout", False),
        ("error:type", False),
        ("error:trace", False),
        ("-error:Value", True),
    ],
)
def test_an_error_is_found_by_its_type_and_message(lab: Lab, query: str, is_found: bool) -> None:
    error = '{"type":"TimeoutError","message":"it says \\"slow\\" \\u0000","traceback":"trace"}'
    job = lab.claimed()
    lab.finish(job, State.FAILED, error=error)
    lab.new()
    assert (job.id in found(lab, query)) is is_found


def test_ages_count_up_to_now(lab: Lab) -> None:
    old = lab.new()
    lab.clock.advance(10 * MINUTE)
    new = lab.new()
    assert found(lab, "age>5m") == [old]
    assert found(lab, "age<5m") == [new]
    assert found(lab, "age:9m..20m") == [old]


def test_a_job_is_found_by_whatever_stands_in_its_columns(lab: Lab) -> None:
    plain = lab.new()
    kept = lab.new(group_key="g", tenant="acme", version=3, priority=10)
    run = lab.claimed(queue="b")
    lost = lab.finished(State.PARKED, queue="c")
    assert found(lab, "group:g") == found(lab, "tenant:acme") == [kept]
    assert found(lab, "version:3") == found(lab, "priority:>=10") == [kept]
    assert found(lab, "group:*") == [kept]
    assert found(lab, "-group:*") == [lost, run.id, plain]
    assert found(lab, "version:1") == [lost, run.id, plain]
    assert found(lab, "worker:w") == [lost, run.id]
    assert found(lab, "reason:unknown_task") == [lost]
    assert found(lab, "attempt>0") == [run.id]
    assert found(lab, f"id:{kept}..{run.id}") == [run.id, kept]


# Against a judgement in Python


TEXTS = ["", "a", "ab", "b", "42", "true", "null", "a b", "ä"]
VALUES = [*TEXTS, 42, 4.2, -1, True, False, None, [1], {"b": 42}]


def stored(lab: Lab) -> list[JobRecord]:
    """Store jobs of every kind, and read them."""
    for n, value in enumerate(VALUES):
        fields: dict[str, Any] = {
            "args": json.dumps({"a": value, "n": n}, ensure_ascii=False),
            "meta": json.dumps({"b": {"a": value}}, ensure_ascii=False) if n % 3 else None,
            "tags": json.dumps(TEXTS[: n % 4]) if n % 4 else None,
            "task": "ab"[: 1 + n % 2],
            "priority": n % 3 - 1,
            "version": n % 3 or None,
            "group_key": TEXTS[n % 5] if n % 2 else None,
            "tenant": TEXTS[n % 3] if n % 5 else None,
        }
        ends = [None, State.FAILED, State.PARKED, State.SUCCEEDED, State.RETRYING][n % 5]
        if ends is None:
            lab.new(queue="a", **fields)
        else:
            lab.finished(ends, **fields, queue=f"b{n}")
        lab.clock.advance(MINUTE)
    return lab.run(read.jobs(Filter(), 100, lambda: True)).jobs


def holds(term: Term, job: JobRecord, now: int) -> bool:
    """Judge a term in Python."""
    if term.lows:
        number = now - job.created_at if term.word == "age" else _number(term.word, job)
        is_met = any(low <= number <= high for low, high in zip(term.lows, term.highs, strict=True))
    elif term.word == "error":
        error = json.loads(job.error or "{}")
        said = (error.get("type", ""), error.get("message", ""))
        is_met = job.error is not None and any(v in s for v in term.values for s in said)
    else:
        is_met = any(
            text in term.values or any(text.startswith(start) for start in term.starts)
            for text in _texts(term, job)
        )
    return is_met is not term.negated


def _number(word: str, job: JobRecord) -> int:
    name = {"created": "created_at"}.get(word, word)
    number: int = getattr(job, name)
    return number


def _texts(term: Term, job: JobRecord) -> list[str]:
    if term.word == "tag":
        return list(json.loads(job.tags or "[]"))
    if term.word in ("args", "meta"):
        value = json.loads(getattr(job, term.word) or "{}")
        for key in term.path:
            value = value.get(key, []) if isinstance(value, dict) else []
        if isinstance(value, str):
            return [value]
        return [] if isinstance(value, list | dict) else [json.dumps(value)]
    text = getattr(job, term.word)
    return [] if text is None else [str(text)]


def spans(least: int, most: int) -> st.SearchStrategy[dict[str, Any]]:
    number = st.integers(least, most)
    pairs = st.lists(st.tuples(number, number), min_size=1, max_size=2)
    return pairs.map(
        lambda chosen: {"lows": tuple(a for a, _ in chosen), "highs": tuple(b for _, b in chosen)}
    )


def texts(values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(st.sampled_from(values), max_size=2).map(tuple)
    return st.fixed_dictionaries({"values": several, "starts": several})


def terms() -> st.SearchStrategy[Term]:
    paths = st.sampled_from([("a",), ("b",), ("b", "a"), ("a", "b")])
    kinds: list[st.SearchStrategy[dict[str, Any]]] = [
        st.fixed_dictionaries(
            {"word": st.just("state"), "values": st.lists(st.sampled_from(State), max_size=3)}
        ),
        st.fixed_dictionaries(
            {"word": st.just("reason"), "values": st.lists(st.sampled_from(Reason), max_size=3)}
        ),
        st.fixed_dictionaries(
            {"word": st.just("error"), "values": st.lists(st.sampled_from(["Val", "no", "X"]))}
        ),
        *(
            texts([*TEXTS, "4.2", "-1", "false", "w"]).map(lambda f, w=word: {"word": w, **f})  # type: ignore[misc]
            for word in ("queue", "task", "group", "tenant", "worker", "tag")
        ),
        *(
            st.tuples(paths, texts([*TEXTS, "4.2", "-1", "false"])).map(
                lambda pair, w=word: {"word": w, "path": pair[0], **pair[1]}  # type: ignore[misc]
            )
            for word in ("args", "meta")
        ),
        *(
            spans(-1, 20).map(lambda f, w=word: {"word": w, **f})  # type: ignore[misc]
            for word in ("id", "priority", "attempt", "version")
        ),
    ]
    return st.tuples(st.one_of(kinds), st.booleans()).map(lambda pair: _term(*pair))


def _term(fields: dict[str, Any], negated: bool) -> Term:
    tuples = {name: tuple(value) for name, value in fields.items() if name != "word"}
    return Term(word=fields["word"], **tuples, negated=negated)


def test_a_store_judges_like_the_words_say(lab: Lab) -> None:
    jobs = stored(lab)
    assert len(jobs) == len(VALUES)
    now = lab.now()

    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(terms(), max_size=3))
    def judge(wanted: list[Term]) -> None:
        page = lab.run(read.jobs(Filter(terms=tuple(wanted)), 100, lambda: True))
        expected = [job.id for job in jobs if all(holds(term, job, now) for term in wanted)]
        assert [job.id for job in page.jobs] == expected

    judge()
