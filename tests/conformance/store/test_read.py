"""Lists of jobs: filters, order, pages; and counts that stop at a bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobpipe.model.filter import LEAST, MOST, Filter, Term
from jobpipe.model.job import JobRecord
from jobpipe.model.state import State
from jobpipe.policy.query import parse
from jobpipe.store.ops import read
from tests.conformance.clock import MINUTE
from tests.conformance.lab import Lab, new_job


def page(lab: Lab, query: str = "", limit: int = 50) -> list[int]:
    return [job.id for job in lab.run(read.jobs(Filter(terms=parse(query)), limit, always)).jobs]


def always() -> bool:
    return True


def never() -> bool:
    return False


def pages(lab: Lab, limit: int, ask: Callable[[int | None], Filter]) -> list[list[int]]:
    """Read every page."""
    found: list[list[int]] = []
    before: int | None = None
    while True:
        got = lab.run(read.jobs(ask(before), limit, always))
        found.append([job.id for job in got.jobs])
        assert got.looked_down_to is None
        if got.next_before is None:
            return found
        before = got.next_before


def some_of_each(lab: Lab) -> dict[State, int]:
    return {
        State.QUEUED: lab.new(queue="a", task="one"),
        State.SCHEDULED: lab.new(queue="a", task="two", delay_us=MINUTE),
        State.RUNNING: lab.claimed(queue="b", task="one").id,
        **{
            state: lab.finished(state, queue="c", task="two")
            for state in (
                State.SUCCEEDED,
                State.FAILED,
                State.CANCELLED,
                State.RETRYING,
                State.PARKED,
            )
        },
    }


def test_every_state_is_found_and_nothing_else(lab: Lab) -> None:
    ids = some_of_each(lab)
    assert page(lab) == sorted(ids.values(), reverse=True)
    for state in State:
        assert page(lab, f"state:{state}") == ([ids[state]] if state in ids else [])


def test_filters_are_joined(lab: Lab) -> None:
    ids = some_of_each(lab)
    assert page(lab, "queue:a") == [ids[State.SCHEDULED], ids[State.QUEUED]]
    assert page(lab, "task:one") == [ids[State.RUNNING], ids[State.QUEUED]]
    for state in (State.QUEUED, State.RUNNING, State.FAILED, State.SUCCEEDED):
        assert page(lab, f"state:{state} queue:nobody") == []
        assert page(lab, f"state:{state} task:nobody") == []
    assert page(lab, "state:failed queue:c task:two") == [ids[State.FAILED]]


@pytest.mark.parametrize("state", [None, State.QUEUED, State.SCHEDULED, State.CANCELLED])
def test_pages_follow_each_other_newest_first(lab: Lab, state: State | None) -> None:
    delay = MINUTE if state is State.SCHEDULED else None
    ids = [each.id for each in lab.enqueue([new_job(delay_us=delay) for _ in range(7)])]
    if state is State.CANCELLED:
        for job in lab.claim(lab.worker()):
            lab.finish(job, State.CANCELLED)
    ids.reverse()
    terms = parse("" if state is None else f"state:{state}")
    for limit, parts in ((3, [3, 3, 1]), (7, [7]), (8, [7])):
        got = pages(lab, limit, lambda before: Filter(terms=terms, before=before))
        assert [len(part) for part in got] == parts
        assert [id for part in got for id in part] == ids


def test_a_search_that_takes_too_long_says_how_far_it_looked(lab: Lab) -> None:
    ids = [each.id for each in lab.enqueue([new_job() for _ in range(read.SCAN + 5)])]
    wanted = Filter(terms=parse("task:rare"))
    got = lab.run(read.jobs(wanted, 10, never))
    assert (got.jobs, got.looked_down_to) == ([], ids[5])
    assert got.next_before == ids[5]
    rest = lab.run(read.jobs(Filter(terms=parse("task:rare"), before=ids[5]), 10, never))
    assert (rest.jobs, rest.looked_down_to, rest.next_before) == ([], None, None)


def test_counts_of_waiting_jobs_stop_at_the_bound(lab: Lab) -> None:
    lab.enqueue([new_job()] * 5 + [new_job(delay_us=MINUTE)] * 4)
    counts = lab.run(read.counts(3))
    assert counts["default", State.QUEUED] == 3
    assert counts["default", State.SCHEDULED] == 3
    assert lab.counts() == {("default", State.QUEUED): 5, ("default", State.SCHEDULED): 4}


def test_a_store_has_an_id_that_stays(lab: Lab) -> None:
    first = lab.run(read.store_id())
    assert len(first) == 32
    assert lab.run(read.store_id()) == first


def test_texts_come_back_as_they_were_stored(lab: Lab) -> None:
    args = '{"text": "a  b", "weird":"\\u2028 \\ud83d\\ude00 é 漢 %s :now {p} $1"}'
    id = lab.new(task="tä sk%s", args=args, tags='["a","ü"]', meta='{"k": [1,  2]}')
    record = lab.job(id)
    assert (record.task, record.args) == ("tä sk%s", args)
    assert (record.tags, record.meta) == ('["a","ü"]', '{"k": [1,  2]}')
    (job,) = lab.claim(lab.worker())
    assert (job.args, job.meta) == (args, '{"k": [1,  2]}')
    result = '"\\u0000 \\ud800 1e400"'
    lab.finish(job, result=result)
    assert lab.job(id).result == result


def test_jobs_are_found_by_tag_task_and_time(lab: Lab) -> None:
    plain = lab.new(task="mail.send")
    tagged = lab.new(task="mail.read", tags='["eu","a\\"b"]')
    lab.clock.advance(MINUTE)
    late = lab.new(task="mailer", tags='["us"]', delay_us=MINUTE)
    assert page(lab, "tag:eu") == [tagged]
    assert page(lab, 'tag:a"b') == [tagged]
    assert page(lab, "tag:u") == page(lab, 'tag:""') == []
    assert page(lab, "tag:us state:scheduled") == [late]
    assert page(lab, "tag:us state:queued") == []
    assert page(lab, "task:mail.*") == [tagged, plain]
    assert page(lab, "task:mail%*") == []
    assert page(lab, "task:mail* tag:us") == [late]
    created = lab.job(late).created_at
    after = Term(word="created", lows=(created,), highs=(MOST,))
    assert [job.id for job in looked(lab, after)] == [late]
    until = Term(word="created", lows=(LEAST,), highs=(created - 1,))
    assert [job.id for job in looked(lab, until)] == [tagged, plain]
    assert page(lab, "group:any") == []
    failed = lab.finished(State.FAILED, tags='["eu"]', task="mail.x")
    assert page(lab, "state:failed tag:eu task:mail.*") == [failed]
    assert page(lab, "state:failed tag:us") == []
    assert page(lab, "state:failed,scheduled") == [failed, late]
    assert page(lab, "-state:failed,scheduled") == [tagged, plain]


def looked(lab: Lab, *terms: Term) -> list[JobRecord]:
    return lab.run(read.jobs(Filter(terms=terms), 50, always)).jobs


def test_several_states_are_walked_beside_each_other(lab: Lab) -> None:
    kinds = (State.FAILED, State.CANCELLED, State.PARKED, State.RETRYING)
    ids = [lab.finished(kinds[n % 4]) for n in range(11)] + [lab.new() for _ in range(3)]
    wanted = [*range(0, 11, 4), *range(1, 11, 4), *range(3, 11, 4)]
    terms = parse("state:failed,cancelled,retrying")
    for limit in (1, 2, 50):
        got = pages(lab, limit, lambda before: Filter(terms=terms, before=before))
        assert [id for part in got for id in part] == sorted((ids[n] for n in wanted), reverse=True)


def test_a_span_of_ids_bounds_the_walk(lab: Lab) -> None:
    ids = [each.id for each in lab.enqueue([new_job() for _ in range(read.SCAN + 9)])]

    def refuse() -> bool:
        raise AssertionError("it looked further than the span")

    found = lab.run(read.jobs(Filter(terms=parse(f"id:{ids[0]}..{ids[2]} tag:none")), 9, refuse))
    assert (found.jobs, found.looked_down_to) == ([], None)
    found = lab.run(read.jobs(Filter(terms=parse(f"id:>={ids[-3]} task:t")), 9, refuse))
    assert [job.id for job in found.jobs] == ids[:-4:-1]
    found = lab.run(read.jobs(Filter(terms=parse(f"id:>={ids[-3]} task:no")), 9, refuse))
    assert found.jobs == []


def test_a_search_for_new_jobs_stops_where_only_old_ones_follow(lab: Lab) -> None:
    lab.enqueue([new_job(args=f'{{"n":{n}}}') for n in range(read.SCAN + 1)])
    lab.clock.advance(5 * MINUTE)
    asked: list[None] = []

    def count() -> bool:
        asked.append(None)
        return True

    found = lab.run(
        read.jobs(
            Filter(terms=(Term(word="created", lows=(lab.now(),), highs=(MOST,)),)), 50, count
        )
    )
    assert (found.jobs, found.next_before, found.looked_down_to, asked) == ([], None, None, [])
    found = lab.run(read.jobs(Filter(terms=parse("tag:none")), 50, count))
    assert (found.jobs, len(asked)) == ([], 1)
