"""Operations without a database: which statements they ask, and what they make of the rows."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from jobpipe.errors import DuplicateKey, InvalidTransition, JobNotFound, QueueFull, StoreUnavailable
from jobpipe.model.job import Enqueued, Lane, NewJob
from jobpipe.model.marks import FOLLOWED
from jobpipe.model.report import Checkpoint, LogLine, Progress
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import claim, read, report, steer, upkeep
from jobpipe.store.ops.enqueue import CHUNK, KEY_TRIES, Bounds, enqueue, enqueue_plain, fingerprint
from jobpipe.store.port import Mode, Operation, Statement
from jobpipe.store.stepping import step

T = TypeVar("T")

JOB = NewJob(task="t", args="{}")
KEYED = NewJob(task="t", args="{}", idempotency_key="k")
LANE = Lane("default", 0)
NOW = 1_700_000_000_000_000


class Script:
    """Answers statements by name; an answer may be a list of answers, one a time."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[Statement] = []
        self._answers = answers

    def __call__(self, statement: Statement) -> list[dict[str, Any]]:
        self.asked.append(statement)
        answer = self._answers[statement.name]
        rows: list[dict[str, Any]] = answer(statement) if callable(answer) else answer
        return rows

    @property
    def names(self) -> list[str]:
        return [statement.name for statement in self.asked]


def run(operation: Operation[T], script: Script) -> T:
    return step(operation, script)


def given_ids(statement: Statement) -> list[int | None]:
    """Return one entry a job that the statement stores: its id, or None to draw one."""
    if statement.name == "enqueue_now":
        return [None]
    if statement.name == "enqueue_one":
        return [statement.params["id"]]
    if statement.name == "enqueue_alike":
        return [None] * len(statement.params["args"])
    assert statement.batch is not None
    return [row[0] for row in statement.batch.rows]


def ids_from(first: int) -> Any:
    count = [first]

    def answer(statement: Statement) -> list[dict[str, Any]]:
        rows = []
        for id in given_ids(statement):
            rows.append({"id": id or count[0], "state": "queued", "created_at": NOW})
            count[0] += 1
        return rows[::-1]

    return answer


def test_a_plain_enqueue_is_one_statement() -> None:
    script = Script(enqueue_alike=ids_from(7))
    operation = enqueue([JOB, JOB], known_lanes=[LANE])
    assert operation.mode is Mode.ONE
    assert run(operation, script) == [
        Enqueued(7, State.QUEUED, created=True, created_at=NOW),
        Enqueued(8, State.QUEUED, created=True, created_at=NOW),
    ]
    assert script.names == ["enqueue_alike"]


def test_one_job_binds_no_array() -> None:
    script = Script(enqueue_now=ids_from(7))
    operation = enqueue([JOB], known_lanes=[LANE])
    assert operation.mode is Mode.ONE
    assert run(operation, script) == [Enqueued(7, State.QUEUED, created=True, created_at=NOW)]
    (asked,) = script.asked
    assert asked.batch is None
    assert not any(isinstance(value, list | tuple) for value in asked.params.values())


@pytest.mark.parametrize(
    "field", ["delay_us", "run_at", "expires_in_us", "idempotency_key", "tags", "meta"]
)
def test_one_job_with_more_to_say_says_it_all(field: str) -> None:
    value = "x" if field in ("idempotency_key", "tags", "meta") else 77
    script = Script(enqueue_one=ids_from(7))
    assert run(enqueue_plain([replace(JOB, **{field: value})]), script)[0].id == 7
    assert script.asked[0].params[field] == value


def test_jobs_that_differ_in_their_arguments_alone_say_the_rest_once() -> None:
    jobs = [NewJob(task="t", args=f"[{n}]", priority=3, tags='["a"]') for n in range(3)]
    script = Script(enqueue_alike=ids_from(1))
    run(enqueue(jobs, known_lanes=[Lane("default", 3)]), script)
    (asked,) = script.asked
    assert asked.batch is None
    assert {name: value for name, value in asked.params.items() if value is not None} == {
        "task": "t",
        "args": ["[0]", "[1]", "[2]"],
        "queue": "default",
        "priority": 3,
        "max_attempts": 5,
        "max_losses": 3,
        "tags": '["a"]',
    }


@pytest.mark.parametrize(
    "field",
    sorted({*NewJob.__struct_fields__} - {"args", "idempotency_key", "wishes", "by", "unique"}),
)
def test_jobs_that_differ_in_anything_else_are_still_one_statement(field: str) -> None:
    other = replace(JOB, **{field: "x" if field in ("task", "queue", "tags", "meta") else 77})
    script = Script(enqueue=ids_from(7))
    operation = enqueue([JOB, other], known_lanes=[LANE, Lane("x", 0), Lane("default", 77)])
    assert operation.mode is Mode.ONE
    assert [answer.id for answer in run(operation, script)] == [7, 8]
    (asked,) = script.asked
    assert asked.name == "enqueue"
    assert asked.batch is not None
    ours, theirs = (dict(zip(asked.batch.columns, row, strict=True)) for row in asked.batch.rows)
    assert {name for name in ours if ours[name] != theirs[name]} == {field}


def test_a_new_lane_is_noted_first_and_once() -> None:
    script = Script(note_lanes=[], enqueue=ids_from(1))
    operation = enqueue([JOB, JOB, NewJob(task="t", args="{}", queue="a")])
    assert operation.mode is Mode.TRANSACTION
    run(operation, script)
    assert script.names == ["note_lanes", "enqueue"]
    batch = script.asked[0].batch
    assert batch is not None
    assert batch.rows == [("a", 0), ("default", 0)]


def test_more_than_a_chunk_goes_in_several_statements_of_one_transaction() -> None:
    ids = ids_from(1)
    script = Script(note_lanes=[], enqueue_alike=ids, enqueue_now=ids)
    operation = enqueue([JOB] * (CHUNK + 1))
    assert operation.mode is Mode.TRANSACTION
    answers = run(operation, script)
    assert [answer.id for answer in answers] == list(range(1, CHUNK + 2))
    assert script.names == ["note_lanes", "enqueue_alike", "enqueue_now"]


def test_a_full_queue_is_found_before_anything_is_inserted() -> None:
    script = Script(note_lanes=[], count_waiting=[{"n": 9}])
    with pytest.raises(QueueFull, match="holds 9 waiting jobs; 2 more would pass its bound of 10"):
        run(enqueue([JOB, JOB], bounds=Bounds(10)), script)
    assert script.names == ["note_lanes", "count_waiting"]


def test_a_key_whose_job_vanishes_is_tried_again_and_then_given_up() -> None:
    script = Script(
        note_lanes=[], reserve_ids=[{"id": 1}], hold_keys=[], read_keys=[], enqueue=ids_from(1)
    )
    with pytest.raises(StoreUnavailable, match="kept changing hands"):
        run(enqueue([KEYED]), script)
    assert script.names == ["note_lanes", "reserve_ids"] + ["hold_keys", "read_keys"] * KEY_TRIES


def test_a_key_of_another_request_is_refused() -> None:
    taken = {"key": "k", "fingerprint": "other", "job_id": 3, "state": "queued"}
    taken["created_at"] = NOW
    script = Script(note_lanes=[], reserve_ids=[{"id": 9}], hold_keys=[], read_keys=[taken])
    with pytest.raises(DuplicateKey):
        run(enqueue([KEYED]), script)
    same = {**taken, "fingerprint": fingerprint(KEYED), "state": "running"}
    script = Script(
        note_lanes=[], reserve_ids=[{"id": 9}], hold_keys=[], read_keys=[same], enqueue=ids_from(1)
    )
    assert run(enqueue([KEYED]), script) == [
        Enqueued(3, State.RUNNING, created=False, created_at=NOW)
    ]


def test_a_fingerprint_tells_task_and_arguments_apart() -> None:
    prints = {
        fingerprint(NewJob(task=task, args=args, priority=priority))
        for task, args, priority in (("a", "{}", 0), ("a", "{}", 5), ("b", "{}", 0), ("a", "[]", 0))
    }
    assert len(prints) == 3


def claimed_row(id: int, queue: str, rank: int) -> dict[str, Any]:
    return {
        "id": id,
        "token": 1,
        "attempt": 1,
        "task": "t",
        "queue": queue,
        "priority": 0,
        "args": "{}",
        "max_attempts": 1,
        "timeout_us": None,
        "expired": 0,
        "rank": rank,
        "claim_id": 1,
        "meta": None,
        "suspect": None,
        "checkpoint": None,
    }


def test_claimed_jobs_are_sorted_by_lane_as_asked_then_by_rank() -> None:
    rows = [claimed_row(1, "a", 9), claimed_row(2, "b", 1), claimed_row(3, "a", 5)]
    lanes = [Lane("a", 0), Lane("b", 0)]
    jobs = run(claim.claim(1, lanes, 3, after={}, done=()), Script(claim=rows))
    assert [job.id for job in jobs] == [3, 1, 2]


def test_more_jobs_than_asked_for_are_never_taken_silently() -> None:
    rows = [claimed_row(1, "default", 1), claimed_row(2, "default", 2)]
    with pytest.raises(AssertionError, match="claimed 2 jobs, asked for 1"):
        run(claim.claim(1, [LANE], 1, after={}, done=()), Script(claim=rows))


def test_cancel_and_rerun_ask_only_what_the_state_allows() -> None:
    running, ended, waits = ([{"state": state}] for state in ("running", "failed", "retrying"))
    script = Script(lock_job=running, request_cancel=[])
    assert run(steer.cancel(1, Reason.BY_USER), script) is State.RUNNING
    assert script.names == ["lock_job", "request_cancel"]
    script = Script(lock_job=waits, cancel_waiting=[])
    assert run(steer.cancel(1, Reason.BY_USER), script) is State.CANCELLED
    for operation, row in ((steer.cancel(1, Reason.BY_USER), ended), (steer.rerun(1), waits)):
        with pytest.raises(InvalidTransition):
            run(operation, Script(lock_job=row))
    with pytest.raises(JobNotFound):
        run(steer.rerun(1), Script(lock_job=[]))


def test_a_delete_asks_for_no_more_than_the_state_allows() -> None:
    script = Script(look_at=[], lock_job=[])
    assert run(steer.delete_job(1), script) is None
    assert script.names == ["look_at", "lock_job"]
    script = Script(look_at=[seen("parked")], lock_job=[{"state": "parked", "marks": None}])
    assert run(steer.delete_job(1), script) is State.PARKED
    assert script.names == ["look_at", "lock_job"]
    ended = {"state": "cancelled", "marks": None}
    script = Script(look_at=[seen("cancelled")], lock_job=[ended], prune=[])
    assert run(steer.delete_job(1), script) is State.CANCELLED
    assert script.names == ["look_at", "lock_job", "prune"]


def test_a_delete_of_a_job_that_rounds_write_to_keeps_them_away_first() -> None:
    script = Script(
        look_at=[seen("cancelled", FOLLOWED)],
        await_admission=[],
        lock_job=[{"state": "cancelled", "marks": FOLLOWED}],
        kept_by_flows=[],
        prune=[],
        forget_nodes=[],
    )
    assert run(steer.delete_job(1), script) is State.CANCELLED
    assert script.names[:4] == ["look_at", "await_admission", "lock_job", "kept_by_flows"]
    assert script.asked[3].params == {"ids": [1]}


def seen(state: str, marks: int | None = None) -> dict[str, Any]:
    """Job 1 as a round finds it."""
    about = ("token", "queue", "priority", "task", "group_key", "tenant", "started_at", "is_aside")
    gate = ("kind", "key", "terms", "place", "line", "let_through")
    return {"id": 1, "state": state, "marks": marks, **dict.fromkeys((*about, *gate))}


def test_lines_go_out_with_their_age_and_a_level_in_bounds() -> None:
    script = Script(write_lines=[{"job_id": 1, "token": 2}])
    said = [
        LogLine(1, 2, 1, 5_000_000, 99_999, "a", "late"),
        LogLine(9, 1, 4, 7_000_500, -5, "b", "of the future", "{}"),
    ]
    assert run(report.write_lines(said, 7_000_000), script) == {(1, 2)}
    batch = script.asked[0].batch
    assert batch is not None
    assert batch.rows == [
        (1, 2, 1, 2_000, 32_767, "a", "late", None),
        (9, 1, 4, 0, 0, "b", "of the future", "{}"),
    ]


def test_jobs_are_locked_in_the_order_of_their_ids() -> None:
    script = Script(save_checkpoints=[], write_progress=[])
    run(report.save_checkpoints([Checkpoint(3, 1, "3"), Checkpoint(1, 7, "1")]), script)
    run(report.write_progress([Progress(3, 1, 1.0), Progress(1, 7, 2.0)]), script)
    for statement in script.asked:
        assert statement.batch is not None
        assert [row[0] for row in statement.batch.rows] == [1, 3]


def test_a_log_that_is_empty_is_told_from_a_job_that_is_not_there() -> None:
    script = Script(read_log=[], outcome=[{"state": "queued"}])
    assert run(report.read_log(1), script) == []
    assert script.names == ["read_log", "outcome"]
    with pytest.raises(JobNotFound):
        run(report.read_log(1), Script(read_log=[], outcome=[]))


@pytest.mark.parametrize(
    "after, token, start, last",
    [
        ((0, 0), None, (0, 0), report.LAST_TOKEN),
        ((3, 9), None, (3, 9), report.LAST_TOKEN),
        ((0, 0), 2, (2, 0), 2),
        ((2, 9), 2, (2, 9), 2),
        ((3, 9), 2, (3, 9), 2),
    ],
)
def test_a_log_is_read_from_a_line_on(
    after: tuple[int, int], token: int | None, start: tuple[int, int], last: int
) -> None:
    script = Script(read_log=[], outcome=[{"state": "queued"}])
    run(report.read_log(1, after, 5, token), script)
    asked = script.asked[0].params
    assert (asked["from_token"], asked["from_number"], asked["last_token"]) == (*start, last)


def test_a_prune_step_deletes_what_is_old_enough_and_notes_where_it_stopped() -> None:
    def row(id: int, state: str, finished: int | None, needed: bool = False) -> dict[str, Any]:
        facts = {"state": state, "finished_at": finished, "needed": needed, "marks": None}
        return {"id": id, "created_at": 0, "now": 100, **facts}

    rows = [
        row(1, "succeeded", 50),
        row(2, "succeeded", 51),
        row(3, "failed", 0),
        row(4, "queued", None),
        row(5, "succeeded", 50, needed=True),
    ]
    script = Script(
        old_jobs=rows, log_reach=[{"reached": None}], prune=[{"id": 1}], note_position=[]
    )
    keep = {State.SUCCEEDED: 50, State.FAILED: None, State.CANCELLED: 1}
    assert run(upkeep.prune(0, 5, keep), script) == upkeep.Pruned(1, 5)
    assert script.asked[2].params == {"ids": [1]}
    assert script.asked[3].params == {"name": "prune", "position": 5}


@pytest.mark.parametrize("reached, ids", [(9, [7, 8]), (8, [7]), (7, [7])])
def test_a_prune_step_deletes_no_more_jobs_than_their_logs_allow(
    reached: int, ids: list[int]
) -> None:
    row = {"state": "succeeded", "created_at": 0, "finished_at": 0, "now": 100, "needed": False}
    rows = [{**row, "id": id, "marks": None} for id in (7, 8, 9)]
    answers = {"old_jobs": rows, "prune": [{"id": id} for id in ids], "note_position": []}
    script = Script(**answers, log_reach=[{"reached": reached}])
    pruned = run(upkeep.prune(0, 10, {State.SUCCEEDED: 50}), script)
    assert pruned == upkeep.Pruned(len(ids), ids[-1])
    assert script.asked[2].params == {"ids": ids}


@pytest.mark.parametrize(
    "created,limit,keep,position",
    [(0, 1, 50, 7), (51, 1, 50, 0), (0, 2, 50, 0), (0, 1, None, 0)],
)
def test_a_prune_walk_ends_at_the_end_or_where_all_is_too_young(
    created: int, limit: int, keep: int | None, position: int
) -> None:
    row = {"id": 7, "state": "queued", "created_at": created, "finished_at": None, "now": 100}
    script = Script(old_jobs=[row], note_position=[])
    pruned = run(upkeep.prune(0, limit, {State.SUCCEEDED: keep}), script)
    assert pruned == upkeep.Pruned(0, position)


def test_counts_of_one_state_from_several_rows_are_added() -> None:
    rows = [
        {"queue": "a", "state": "failed", "n": 2},
        {"queue": "a", "state": "failed", "n": -1},
        {"queue": "b", "state": "queued", "n": 3},
    ]
    assert run(read.counts(), Script(counts=rows)) == {
        ("a", State.FAILED): 1,
        ("b", State.QUEUED): 3,
    }
