"""Which jobs are one and the same to a task: the key that keeps a second one away, and how long."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, fields
from datetime import timedelta
from inspect import Parameter
from typing import Any, Literal

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.model.unique import Clash, Scope, Uniqueness
from jobpipe.tasks import wire
from jobpipe.tasks.codec import show
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.template import parse

SCOPES = (Scope.WAITING, Scope.LIVE)
UNIQUE_ALLOWED = "True, a key such as 'user-{user_id}', Unique(...), or False for none"
MAX_SECONDS = 100 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Unique:
    """What makes jobs of a task one and the same; None: as the task says, or the default.

    Raises InvalidArguments when a value is wrong.
    """

    key: str | None = None
    """With ``{name}`` for an argument. Default: the task and all its arguments."""
    _: KW_ONLY
    scope: Literal["waiting", "live"] | None = None
    """``waiting`` (the default): until the job is claimed for the first time; ``live``: until it
    is final. Not together with ``for_seconds``."""
    for_seconds: float | timedelta | None = None
    """Instead of a scope: so long from its enqueue on, whatever becomes of it."""
    answer: Literal["return", "replace", "refuse"] | None = None
    """``return`` (the default) comes to the job that is there; ``replace`` gives it the new
    arguments and time, while it waits; ``refuse`` raises DuplicateKey."""

    def __post_init__(self) -> None:
        if self.key is not None and not isinstance(self.key, str):
            raise _refusal("key", self.key, "a text such as 'user-{user_id}'")
        if self.scope is not None and self.scope not in SCOPES:
            raise _refusal("scope", self.scope, "'waiting' or 'live'")
        if self.for_seconds is not None:
            if self.scope is not None:
                raise _refusal("for_seconds", self.for_seconds, "without a scope: it is one")
            _span_us(self.for_seconds)
        if self.answer is not None and self.answer not in set(Clash):
            raise _refusal("answer", self.answer, "'return', 'replace' or 'refuse'")

    def said(self) -> dict[str, Any]:
        """Return what is given, as JSON has it."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        if isinstance(self.for_seconds, timedelta):
            said["for_seconds"] = self.for_seconds.total_seconds()
        return {name: value for name, value in said.items() if value is not None}

    def over(self, task: Unique) -> Unique:
        """Return this, and what the task says where this says nothing."""
        timed = self if self.scope or self.for_seconds is not None else task
        return Unique(
            task.key if self.key is None else self.key,
            scope=timed.scope,
            for_seconds=timed.for_seconds,
            answer=self.answer or task.answer,
        )

    def uniqueness(self) -> Uniqueness:
        """Return what a store needs to know beside the key."""
        answer = Clash(self.answer or Clash.RETURN)
        if self.for_seconds is None:
            return Uniqueness(scope=Scope(self.scope or Scope.WAITING), answer=answer)
        for_us = _span_us(self.for_seconds)
        return Uniqueness(scope=Scope.SECONDS, answer=answer, for_us=for_us)

    def key_of(self, signature: Signature, args: str) -> str:
        """Return the key of a call with these encoded arguments; raises InvalidArguments."""
        if self.key is None:
            return _whole_key(signature, args)
        try:
            template = parse("unique", self.key, signature)
        except ConfigError as error:
            raise InvalidArguments(str(error)) from None
        return template.render(signature, args)


def as_unique(value: object) -> Unique | Literal[False] | None:
    """Return the option ``unique`` as what it means; raises InvalidArguments."""
    if value is None or value is False or isinstance(value, Unique):
        return value
    if value is True:
        return Unique()
    if isinstance(value, str):
        return Unique(value)
    names = {each.name for each in fields(Unique)}
    if isinstance(value, Mapping) and value.keys() <= names:
        return Unique(**value)
    raise _refusal("unique", value, UNIQUE_ALLOWED)


def settled(
    task: Unique | None, asked: Unique | Literal[False] | None, signature: Signature, args: str
) -> tuple[str | None, Uniqueness | None]:
    """Return the key of a call and what it is worth; (None, None) when it may have many jobs."""
    wanted = task if asked is None else asked
    if not wanted:
        return None, None
    if task is not None:
        wanted = wanted.over(task)
    return wanted.key_of(signature, args), wanted.uniqueness()


def _whole_key(signature: Signature, args: str) -> str:
    """Return a key of the task and all its arguments: equal calls make equal keys."""
    given = wire.read(args)
    if isinstance(given, dict):
        given = _defaults(signature) | given
    text = wire.encode_sorted(given)
    mark = hashlib.sha256(signature.task.encode() + b"\n" + text).hexdigest()[:32]
    return f"{signature.task[:160]}:{mark}"


def _defaults(signature: Signature) -> dict[str, Any]:
    """Return the defaults of the parameters, as far as JSON can say them."""
    said: dict[str, Any] = {}
    for each in signature.python.parameters.values():
        with suppress(Exception):  # encoding may run user code
            if each.default is not Parameter.empty:
                said[each.name] = wire.read(wire.encode_sorted(each.default).decode())
    return said


def _span_us(value: object) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and 1e-6 <= (span := float(str(seconds))) <= MAX_SECONDS:
        return round(span * 1_000_000)
    raise _refusal("for_seconds", value, "seconds above 0 (at most 100 years), or a timedelta")


def _refusal(option: str, value: object, allowed: str) -> InvalidArguments:
    return InvalidArguments(
        f"option {option}={show(value)} is refused; allowed: {allowed}",
        help="Correct the option that the message names; nothing was stored.",
    )
