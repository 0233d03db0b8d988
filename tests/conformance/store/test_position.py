"""The place of a job in its line is read with it, and costs those that wait in none nothing."""

from __future__ import annotations

from jobpipe.model.job import JobRecord
from jobpipe.model.marks import GATED, STARTS
from jobpipe.store.ops import aside, read
from jobpipe.store.ops.aside import Known
from jobpipe.store.port import Mode, Op, Operation
from tests.conformance.lab import Lab, new_job
from tests.conformance.store.gates import claimed, group, rounds, slots, stored, wishing


def positions(lab: Lab, ids: list[int]) -> list[int | None]:
    return [lab.job(id).position for id in ids]


def asked(lab: Lab, id: int) -> list[str]:
    """Return the statements that a read of the job takes."""
    names = []

    def start() -> Op[JobRecord | None]:
        reading, answer = read.job(id).start(), None
        try:
            while True:
                statement = reading.send(answer)  # type: ignore[arg-type]
                names.append(statement.name)
                answer = yield statement
        except StopIteration as end:
            record: JobRecord | None = end.value
            return record

    assert lab.run(Operation("job", Mode.READ, start)) is not None
    return names


def test_who_waits_at_a_gate_has_a_place_by_priority_and_arrival(lab: Lab) -> None:
    ids = stored(lab, [wishing(slots(1)), wishing(slots(1)), wishing(slots(1), priority=5)])
    assert positions(lab, ids) == [None, None, None]  # nobody has looked yet
    rounds(lab)
    (let_in,) = [id for id, place in zip(ids, positions(lab, ids), strict=True) if place is None]
    (more,) = stored(lab, [wishing(slots(1), priority=9)])
    rounds(lab)
    assert positions(lab, [let_in, more]) == [None, 1]
    assert sorted(p for p in positions(lab, ids) if p is not None) == [2, 3]


def test_a_group_counts_those_behind_the_one_whose_turn_it_is(lab: Lab) -> None:
    ids = stored(lab, [wishing(group())] * 4)
    rounds(lab)
    assert positions(lab, ids) == [None, 1, 2, 3]
    lab.finish(claimed(lab)[0])
    rounds(lab)
    assert positions(lab, ids) == [None, None, 1, 2]


def test_who_waits_for_a_turn_has_a_place_among_his_tenant(lab: Lab) -> None:
    whale = [new_job(tenant="whale", marks=GATED | STARTS)] * 13
    fish = [new_job(tenant="fish", marks=GATED | STARTS)] * 13
    ids = stored(lab, whale)
    rounds(lab)
    others = stored(lab, fish)
    rounds(lab)
    assert positions(lab, ids)[10:] == [1, 2, 3]  # ten are kept ready
    assert positions(lab, others) == list(range(1, 14))


def test_who_waits_in_no_line_has_no_place_and_costs_no_statement(lab: Lab) -> None:
    plain = lab.new()
    (let_in,) = stored(lab, [wishing(slots(1))])
    rounds(lab)
    (timed,) = stored(lab, [wishing(slots(1), delay_us=60_000_000)])
    assert positions(lab, [plain, let_in, timed]) == [None, None, None]
    assert [asked(lab, id) for id in (plain, let_in, timed)] == [["job"]] * 3


def test_who_stands_aside_has_no_place(lab: Lab) -> None:
    id = lab.new()
    lab.run(aside.pause_task("t", None, None, None))
    lab.run(aside.set_aside(claimed(lab), Known(frozenset({"t"}))))
    assert lab.job(id).position is None
    assert asked(lab, id) == ["job"]
