"""Which jobs a list shows: what people and programs ask for, as a filter for the store."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from jobpipe.app.requests import MAX_ID, MAX_PAGE, moment
from jobpipe.errors import InvalidArguments
from jobpipe.model.filter import LEAST, MOST, Filter, Term
from jobpipe.model.state import State
from jobpipe.policy import query
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import NAME_ALLOWED, QUEUE_ALLOWED, is_name, is_queue, is_whole

PAGE_JOBS = 50
"""Most jobs of a page, unless said otherwise."""


class JobFilters(TypedDict, total=False):
    """Which jobs a list shows; what is left out does not matter."""

    state: State | str | None
    queue_name: str | None
    task: str | None
    tag: str | None
    group: str | None
    created_after: datetime | None
    """Created at this time or later; aware."""
    created_before: datetime | None
    q: str | None
    """The same in words, and more: ``state:failed,parked queue:mail task:mail.* -tag:eu``."""
    limit: int
    """Most jobs of the page, ``PAGE_JOBS`` unless said otherwise."""
    before: int | None
    """Only jobs with a lower id: the last one of the page before."""


def job_filter(
    *,
    state: str | None = None,
    queue_name: str | None = None,
    task: str | None = None,
    tag: str | None = None,
    group: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    q: str | None = None,
    before: int | None = None,
    limit: int = PAGE_JOBS,
) -> Filter:
    """Return the filter; ``q`` asks in words for what the others do not say.

    Raises InvalidArguments naming the first wrong one.
    """
    name = task[:-1] if isinstance(task, str) and task.endswith("*") else task
    _check(state, queue_name, None if task == "*" else name, before, limit)
    _check_text("tag", tag)
    _check_text("group", group)
    named = {"state": state, "queue": queue_name, "task": task, "tag": tag, "group": group}
    terms = [
        query.text_term(word, value) if word == "task" else Term(word=word, values=(value,))
        for word, value in named.items()
        if value is not None
    ]
    after, until = moment("created_after", created_after), moment("created_before", created_before)
    if after is not None:
        terms.append(Term(word="created", lows=(after,), highs=(MOST,)))
    if until is not None:
        terms.append(Term(word="created", lows=(LEAST,), highs=(until - 1,)))
    return Filter(terms=_joined(terms, q), before=before)


def _joined(named: list[Term], text: str | None) -> tuple[Term, ...]:
    terms = [*named, *query.parse(text or "")]
    if (word := query.asked_twice(terms)) is not None:
        raise InvalidArguments(
            f"the query asks for one {word}, and an option beside it for another: no job has both",
            help=f"Say it in one place; of several, {word}:a,b in the query means any.",
        )
    return tuple(dict.fromkeys(terms))


def _check_text(option: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and value.isprintable()):
        raise refusal(option, value, "a printable text")


def _check(
    state: str | None, queue: str | None, task: str | None, before: int | None, limit: int
) -> None:
    if state is not None and state not in list(State):
        raise refusal("state", state, ", ".join(State))
    if queue is not None and not is_queue(queue):
        raise refusal("queue_name", queue, QUEUE_ALLOWED)
    if task is not None and not is_name(task):
        raise refusal("task", task, NAME_ALLOWED)
    if before is not None and not is_whole(before, 1, MAX_ID):
        raise refusal("before", before, "the id of a job")
    if not is_whole(limit, 1, MAX_PAGE):
        raise refusal("limit", limit, f"a whole number from 1 to {MAX_PAGE}")
