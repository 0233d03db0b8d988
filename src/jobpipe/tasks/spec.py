"""What a task declares about itself: checked when it is declared, then never changed.

A wrong option is a ConfigError that names the task, the option, the value and what is allowed.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.model.gate import GateKind
from jobpipe.model.job import MAX_PRIORITY, MIN_PRIORITY
from jobpipe.model.takes import LATEST
from jobpipe.policy.retry import RetryDelays, parse_delays
from jobpipe.tasks.codec import show
from jobpipe.tasks.gates import (
    TENANT_OR_GROUP,
    AnyConcurrency,
    AnyGroup,
    AnyRate,
    Gates,
    Group,
    declared_gates,
)
from jobpipe.tasks.hooks import NO_HOOKS, Functions, TaskHooks, task_hooks
from jobpipe.tasks.limits import Limits
from jobpipe.tasks.names import NAME_ALLOWED as NAME_ALLOWED
from jobpipe.tasks.names import is_name as is_name
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.template import Template, parse
from jobpipe.tasks.unique import Unique, as_unique

Executor: TypeAlias = Literal["async", "thread", "process", "command", "remote"]
OnLoss: TypeAlias = Literal["retry", "fail"]

QUEUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,199}")
QUEUE_ALLOWED = "1 to 200 of the characters A-Z a-z 0-9 _ . - /, the first a letter, digit or _"
MAX_SECONDS = 100 * 365 * 86400.0
"""Longest span of time in any option: a hundred years."""
MAX_ATTEMPTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """The options of a task; ``None`` means that the setting decides."""

    name: str
    queue: str = "default"
    priority: int = 0
    max_attempts: int | None = None
    retry_delays: RetryDelays | None = None
    timeout_seconds: float | None = None
    executor: Executor = "thread"
    retry_on: tuple[type[BaseException], ...] = ()
    """The failures worth another attempt; empty: every ``Exception``."""
    give_up_on: tuple[type[BaseException], ...] = ()
    on_loss: OnLoss = "retry"
    store_result: bool = True
    version: int = 1
    """Of its arguments."""
    aliases: tuple[str, ...] = ()
    """Names that it had before."""
    limits: Limits | None = None
    """Bounds of the process that it runs in."""
    tenant: Template | None = None
    """Whose jobs they are, made of their arguments."""
    unique: Unique | None = None
    """What makes its jobs one and the same; None: nothing."""
    gates: Gates = ()
    """What must open before its jobs may be queued."""
    hooks: TaskHooks = NO_HOOKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The options of a task as a declaration gives them."""

    name: str | None = None
    queue_name: str = "default"
    priority: int = 0
    max_attempts: int | None = None
    retry_delays: RetryDelays | Sequence[float] | str | None = None
    timeout: float | timedelta | None = None
    executor: str | None = None
    version: int = 1
    aliases: Sequence[str] = ()
    retry_on: type[BaseException] | Sequence[type[BaseException]] = ()
    give_up_on: type[BaseException] | Sequence[type[BaseException]] = ()
    on_loss: str = "retry"
    store_result: bool = True
    limits: Limits | None = None
    tenant: str | None = None
    unique: Unique | str | bool | None = None
    concurrency: AnyConcurrency | None = None
    rate: AnyRate | None = None
    group: AnyGroup | None = None
    on_success: Functions = ()
    on_retry: Functions = ()
    on_failure: Functions = ()


def declare(function: Callable[..., Any], **options: Any) -> TaskSpec:
    """Check the options of a task, which are those of ``Declared``; raises ConfigError."""
    given = Declared(**options)
    check = _Check(str(default_name(function)))
    check.function(function)
    check.task = name = check.name(default_name(function) if given.name is None else given.name)
    return TaskSpec(
        name=name,
        queue=check.queue(given.queue_name),
        priority=check.whole("priority", given.priority, MIN_PRIORITY, MAX_PRIORITY),
        max_attempts=None if given.max_attempts is None else check.attempts(given.max_attempts),
        retry_delays=check.delays(given.retry_delays),
        timeout_seconds=None if given.timeout is None else check.timeout(given.timeout),
        executor=check.executor(given.executor, inspect.iscoroutinefunction(function)),
        retry_on=check.failures("retry_on", given.retry_on),
        give_up_on=check.failures("give_up_on", given.give_up_on),
        on_loss=check.on_loss(given.on_loss),
        store_result=check.flag("store_result", given.store_result),
        version=check.whole("version", given.version, 1, LATEST),
        aliases=check.aliases(name, given.aliases),
        limits=check.limits(given.limits, given.executor),
        tenant=check.template("tenant", given.tenant, function),
        unique=check.unique(given.unique, function),
        gates=check.gates(given, function),
        hooks=task_hooks(given.on_success, given.on_retry, given.on_failure),
    )


def default_name(function: Callable[..., Any]) -> str:
    """Return ``module.qualname``; a script is named by its file, not ``__main__``."""
    module = getattr(function, "__module__", None) or "unknown"
    if module in ("__main__", "__mp_main__"):  # the latter in processes that import the script
        file = getattr(sys.modules.get(module), "__file__", None)
        module = Path(file).stem if file else module
    return f"{module}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def is_queue(text: object) -> bool:
    """Tell whether ``text`` may name a queue."""
    return isinstance(text, str) and QUEUE.fullmatch(text) is not None


def is_whole(value: object, low: int, high: int) -> bool:
    """Tell whether ``value`` is a whole number (no bool) within the bounds."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def seconds(value: object) -> float | None:
    """Return a span of time in seconds, or None when it is none or longer than allowed."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -MAX_SECONDS <= value <= MAX_SECONDS else None


@dataclass
class _Check:
    """Checks one option after the other, in the name of one task."""

    task: str

    def refusal(self, option: str, value: object, allowed: str) -> ConfigError:
        return ConfigError(
            f"task {self.task}: {option}={show(value)} is refused; allowed: {allowed}"
        )

    def function(self, function: Callable[..., Any]) -> None:
        if not (inspect.isfunction(function) or inspect.ismethod(function)):
            raise self.refusal("function", function, "a function made by `def` or `async def`")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise self.refusal("function", function, "a function that returns; this one yields")

    def name(self, value: Any) -> str:
        if is_name(value):
            return str(value)
        raise self.refusal("name", value, NAME_ALLOWED)

    def aliases(self, name: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, list | tuple) and all(map(is_name, value)):
            names = tuple(map(str, value))
            if len({name, *names}) == 1 + len(names):
                return names
        allowed = f"a list of other names than its own, each once and of {NAME_ALLOWED}"
        raise self.refusal("aliases", value, allowed)

    def queue(self, value: Any) -> str:
        if is_queue(value):
            return str(value)
        raise self.refusal("queue_name", value, QUEUE_ALLOWED)

    def whole(self, option: str, value: Any, low: int, high: int) -> int:
        if is_whole(value, low, high):
            return int(value)
        raise self.refusal(option, value, f"a whole number from {low} to {high}")

    def attempts(self, value: Any) -> int:
        return self.whole("max_attempts", value, 1, MAX_ATTEMPTS)

    def timeout(self, value: Any) -> float:
        span = seconds(value)
        if span is not None and span >= 1e-6:
            return span
        raise self.refusal("timeout", value, "seconds above 0 (at most 100 years), or a timedelta")

    def delays(self, value: Any) -> RetryDelays | None:
        if value is None or not isinstance(value, str | Sequence):
            return self._delays_object(value)
        try:
            return parse_delays(value)
        except (ValueError, TypeError, ConfigError) as error:
            raise ConfigError(f"task {self.task}: retry_delays={show(value)}: {error}") from error

    def _delays_object(self, value: Any) -> RetryDelays | None:
        if value is None or isinstance(value, RetryDelays):
            return value
        raise self.refusal(
            "retry_delays", value, "seconds such as (1, 5, 30), or exponential:base:cap"
        )

    def executor(self, value: Any, is_async: bool) -> Executor:
        fitting: Executor = "async" if is_async else "thread"
        if value is None or value == fitting:
            return fitting
        if value == "process":
            return "process"
        kind = "an `async def` runs on the event loop" if is_async else "a `def` runs in a thread"
        raise self.refusal("executor", value, f"{fitting!r} ({kind}) or 'process'")

    def limits(self, value: Any, executor: Any) -> Limits | None:
        if value is None:
            return None
        if not isinstance(value, Limits):
            raise self.refusal("limits", value, "Limits(memory_mb=..., cpu_seconds=..., ...)")
        if executor != "process":
            raise self.refusal("limits", value, "only with executor='process'")
        return value

    def template(self, option: str, value: Any, function: Callable[..., Any]) -> Template | None:
        return None if value is None else parse(option, value, Signature(self.task, function))

    def unique(self, value: Any, function: Callable[..., Any]) -> Unique | None:
        try:
            wanted = as_unique(value) or None
        except InvalidArguments as error:
            raise ConfigError(f"task {self.task}: {error}") from None
        if wanted is not None:
            self.template("unique", wanted.key, function)
        return wanted

    def gates(self, given: Declared, function: Callable[..., Any]) -> Gates:
        options: dict[GateKind, object] = {
            GateKind.GROUP: given.group,
            GateKind.CONCURRENCY: given.concurrency,
            GateKind.RATE: given.rate,
        }
        gates = declared_gates(Signature(self.task, function), options)
        if given.tenant is not None and any(isinstance(each, Group) for each in gates):
            raise ConfigError(f"task {self.task}: {TENANT_OR_GROUP}")
        return gates

    def failures(self, option: str, value: Any) -> tuple[type[BaseException], ...]:
        classes = (value,) if isinstance(value, type) else value
        if isinstance(classes, Sequence) and all(
            isinstance(each, type) and issubclass(each, BaseException) for each in classes
        ):
            return tuple(classes)
        raise self.refusal(option, value, "exception classes")

    def on_loss(self, value: Any) -> OnLoss:
        if value in ("retry", "fail"):
            return "fail" if value == "fail" else "retry"
        raise self.refusal("on_loss", value, "'retry' or 'fail'")

    def flag(self, option: str, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise self.refusal(option, value, "True or False")
