"""Unique keys: while a job holds one, no other job is made with it.

A waiting key stands in the job's own row, and leaves it with the first claim or with the end of
the job, whichever statement brings that. A live or timed key is a row of its own, which is judged
when somebody comes for the key: nothing is to be done when a job ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from jobpipe.errors import DuplicateKey, InvalidTransition, StoreUnavailable
from jobpipe.model.audit import Action, AuditNote
from jobpipe.model.job import Enqueued, NewJob
from jobpipe.model.state import FINAL, INITIAL, State
from jobpipe.model.unique import Clash, Scope
from jobpipe.store.ops.audit import facts, note
from jobpipe.store.port import Batch, Op, Row, Statement

TRIES = 5
"""How often a key is tried again that changed hands between a look and the try to take it."""

HELD_COLUMNS = ("job_id", "key", "for_us")

RENEWED = ("args", "version", "delay_us", "run_at", "expires_in_us")
"""What a job takes over from the request that replaces it."""

HELP = "Wait until that job lets go of the key, or ask for another answer: docs/unique.md."


class Key(NamedTuple):
    """A key as jobs hold it: waiting keys and the others do not see each other."""

    is_waiting: bool
    text: str


class Holder(Struct, frozen=True):
    """The job that holds a key."""

    id: int
    task: str
    state: State
    created_at: int


class Request(NamedTuple):
    """A job to be stored, under the id that is kept for it."""

    id: int
    job: NewJob


Insert = Callable[[Sequence[Request]], Op[Mapping[int, Enqueued]]]
"""Stores requests; those are missing in the answer whose waiting key is held."""


def key_of(job: NewJob) -> Key | None:
    """Return the key that the job is to hold, if it is to be unique."""
    if job.unique is None or job.unique_key is None:
        return None
    return Key(job.unique.scope is Scope.WAITING, job.unique_key)


def waiting_key(job: NewJob) -> str | None:
    """Return what stands in the row of the job while it waits."""
    key = key_of(job)
    return key.text if key is not None and key.is_waiting else None


def store(
    requests: Sequence[Request], check: Callable[[Sequence[NewJob]], Op[None]], insert: Insert
) -> Op[list[Enqueued]]:
    """Store the requests whose keys are free; the others come to the jobs that hold theirs.

    ``check`` hears once which jobs are to be stored. Raises DuplicateKey.
    """
    firsts, repeats = _folded(requests)
    answers: dict[int, Enqueued] = {}
    is_checked = False
    for _ in range(TRIES):
        left = [each for id, each in firsts.items() if id not in answers]
        holders = yield from _holders(filter(None, [key_of(each.job) for each in left]))
        answers |= yield from _answered(left, holders)
        free = [each for each in left if key_of(each.job) not in holders]
        if free and not is_checked:
            yield from check([each.job for each in free])
            is_checked = True
        if free:
            answers |= yield from insert((yield from _held(free)))
        if len(answers) == len(firsts):
            return [
                answers[id] if id in answers else replace(answers[repeats[id]], created=False)
                for id, _ in requests
            ]
    raise StoreUnavailable("a unique key kept changing hands; nothing was stored")


def take_anew(id: int, key: str) -> Op[None]:
    """Have a job that is to be re-run hold its key again, as it did before.

    Raises InvalidTransition when another job holds it; then nothing has changed.
    """
    is_waiting = not (yield Statement("own_held_key", {"id": id}))
    take = "take_waiting_key" if is_waiting else "take_held_key"
    wanted = Key(is_waiting, key)
    for _ in range(TRIES):
        if (yield Statement(take, {"id": id})):
            return
        for holder in (yield from _holders([wanted])).values():
            raise InvalidTransition(
                f"job {id} cannot be re-run: job {holder.id} holds its unique key {key!r}",
                help="Wait until that job lets go of the key, or cancel it.",
            )
    raise StoreUnavailable("a unique key kept changing hands; nothing was changed")


def _folded(requests: Sequence[Request]) -> tuple[dict[int, Request], dict[int, int]]:
    """Keep the first request of each key; tell which of them stands for each of the others."""
    firsts: dict[int, Request] = {}
    repeats: dict[int, int] = {}
    seen: dict[Key, int] = {}
    for each in requests:
        key = key_of(each.job)
        if key is None or key not in seen:
            firsts[each.id] = each
            if key is not None:
                seen[key] = each.id
            continue
        first = firsts[seen[key]]
        _check_may_share(each.job, key, first.job.task, "another job of the same request")
        repeats[each.id] = first.id
        if _answer(each.job) is Clash.REPLACE:
            newer = {name: getattr(each.job, name) for name in RENEWED}
            firsts[first.id] = Request(first.id, replace(first.job, **newer))
    return firsts, repeats


def _holders(keys: Iterable[Key]) -> Op[dict[Key, Holder]]:
    """Find who holds the keys; the jobs that wait with theirs stay as they are until we end."""
    wanted = set(keys)
    waiting = sorted(text for is_waiting, text in wanted if is_waiting)
    holders: dict[Key, Holder] = {}
    if waiting:
        for row in (yield Statement("hold_waiting", {"keys": waiting})):
            holders[Key(True, row["key"])] = _holder(row)
    live = yield from _live_holders(text for is_waiting, text in wanted if not is_waiting)
    return holders | {Key(False, text): holder for text, holder in live.items()}


def _live_holders(texts: Iterable[str]) -> Op[dict[str, Holder]]:
    """Find who holds these live and timed keys, and free those whose time is over."""
    keys = sorted(texts)
    if not keys:
        return {}
    holders: dict[str, Holder] = {}
    over: list[int] = []
    for row in (yield Statement("read_held_keys", {"keys": keys})):
        is_over = row["state"] in FINAL if row["until"] is None else row["until"] <= row["now"]
        if is_over:
            over.append(row["id"])
        else:
            holders[row["key"]] = _holder(row)
    if over:
        yield Statement("free_held_keys", {"ids": sorted(over)})
    return holders


def _holder(row: Row) -> Holder:
    return Holder(row["id"], row["task"], State(row["state"]), row["created_at"])


def _held(requests: Sequence[Request]) -> Op[list[Request]]:
    """Take the live and timed keys; return the requests that may be stored now."""
    wanted = {id: job for id, job in requests if key_of(job) and not waiting_key(job)}
    if not wanted:
        return list(requests)
    rows = [(id, job.unique_key, job.unique and job.unique.for_us) for id, job in wanted.items()]
    batch = Batch(HELD_COLUMNS, sorted(rows, key=itemgetter(1)))
    won = {row["job_id"] for row in (yield Statement("hold_unique_keys", batch=batch))}
    return [each for each in requests if each.id not in wanted or each.id in won]


def _answered(
    requests: Sequence[Request], holders: Mapping[Key, Holder]
) -> Op[dict[int, Enqueued]]:
    """Answer the requests whose keys are held; raises DuplicateKey."""
    answers: dict[int, Enqueued] = {}
    to_replace: dict[int, Request] = {}
    for each in requests:
        key = key_of(each.job)
        if key is None or key not in holders:
            continue
        holder = holders[key]
        _check_may_share(each.job, key, holder.task, f"job {holder.id}")
        if _answer(each.job) is not Clash.REPLACE:
            answers[each.id] = Enqueued(holder.id, holder.state, False, holder.created_at)
        elif holder.state in INITIAL:
            to_replace[holder.id] = each
        else:
            raise DuplicateKey(
                f"job {holder.id} holds the key {key.text!r} and is {holder.state}: only a job"
                " that waits for its first attempt is replaced",
                help=HELP,
            )
    if to_replace:
        answers |= yield from _replaced(to_replace)
    return answers


def _replaced(requests: Mapping[int, Request]) -> Op[dict[int, Enqueued]]:
    """Renew the jobs (by their ids) from these requests; those that run meanwhile are missing."""
    rows = [(id, *(getattr(each.job, name) for name in RENEWED)) for id, each in requests.items()]
    batch = Batch(("id", *RENEWED), sorted(rows, key=itemgetter(0)))
    answers: dict[int, Enqueued] = {}
    notes: list[AuditNote] = []
    for row in (yield Statement("replace_waiting", batch=batch)):
        each, state = requests[row["id"]], State(row["state"])
        answers[each.id] = Enqueued(row["id"], state, False, row["created_at"])
        if each.job.by is not None:
            after = facts(state=state, replaced=True)
            notes.append(
                AuditNote(
                    by=each.job.by,
                    action=Action.PATCH,
                    job_id=row["id"],
                    queue=row["queue"],
                    after=after,
                )
            )
    yield from note(notes)
    return answers


def _answer(job: NewJob) -> Clash:
    return Clash.RETURN if job.unique is None else job.unique.answer


def _check_may_share(job: NewJob, key: Key, task: str, who: str) -> None:
    """Raise DuplicateKey where a request may not come to the job that has its key."""
    if task != job.task:
        raise DuplicateKey(f"{who} holds the key {key.text!r} for another task, {task}", help=HELP)
    if _answer(job) is Clash.REFUSE:
        raise DuplicateKey(f"{who} holds the unique key {key.text!r}", help=HELP)
