"""Commands as tasks: a program and its arguments, whose placeholders are the task's parameters.

What is filled in never passes a shell and never becomes another argument: ``{name}`` is a text
within one argument, and only ``{names...}``, standing alone, becomes as many as there are.
"""

from __future__ import annotations

import inspect
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, TypedDict

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.tasks.codec import show
from jobpipe.tasks.limits import Limits
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.spec import TaskSpec, declare, is_whole
from jobpipe.tasks.task import AnyTask, Home

SPREAD = "..."
"""What follows the name of a placeholder that stands for several arguments."""


class CommandResult(TypedDict):
    """What a command that went well came to; of its output the end is kept."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an argument: a text, then what a placeholder stands for."""

    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run: a checked template; ``arguments`` fills it in."""

    name: str
    template: tuple[tuple[Part, ...], ...]
    cwd: str | None = None
    env: Mapping[str, str]
    stdin: str | None = None
    """The parameter whose text it reads from its standard input."""
    ok_codes: frozenset[int] = frozenset({0})
    limits: Limits | None = None

    @property
    def parameters(self) -> dict[str, type]:
        """The parameters by name, in order: texts, or lists of texts."""
        kinds: dict[str, type] = {}
        for parts in self.template:
            for part in parts:
                if part.name is not None:
                    is_spread = part.name.endswith(SPREAD)
                    kinds[part.name.removesuffix(SPREAD)] = list[str] if is_spread else str
        if self.stdin is not None:
            kinds[self.stdin] = str
        return kinds

    def arguments(self, values: Mapping[str, Any]) -> list[str]:
        """Return the program and its arguments."""
        filled: list[str] = []
        for parts in self.template:
            name = parts[0].name
            if name is not None and name.endswith(SPREAD):
                filled += values[name.removesuffix(SPREAD)]
            else:
                filled.append("".join(_fill(part, values) for part in parts))
        return filled


class CommandSignature(Signature):
    """The signature of a command: numbers and truth values become the texts that say them."""

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given arguments by name, as texts; raises InvalidArguments."""
        bound = super().bind(args, kwargs)
        for name, value in bound.items():
            several = self._kinds[name] == list[str] and isinstance(value, list | tuple)
            bound[name] = [_as_text(each) for each in value] if several else _as_text(value)
            texts = bound[name] if several else [bound[name]]
            if any(isinstance(text, str) and "\0" in text for text in texts):
                raise InvalidArguments(
                    f"task {self.task}: argument {name!r} holds a NUL character, which ends an"
                    f" argument of a program: {show(value)}"
                )
        return bound

    @property
    def _kinds(self) -> dict[str, Any]:
        return {each.name: each.annotation for each in self.python.parameters.values()}


class CommandTask(AnyTask[..., CommandResult]):
    """A task that runs a program."""

    def __init__(self, spec: TaskSpec, command: Command, home: Home) -> None:
        function = _renderer(command)
        super().__init__(spec, function, home)
        self.signature = CommandSignature(spec.name, function)
        self.command = command

    def __call__(self, *args: Any, **kwargs: Any) -> list[str]:
        """Return the program and its arguments as a job would run them; nothing is run."""
        return self.command.arguments(self.signature.bind(args, kwargs))


def declare_command(
    home: Home,
    name: str,
    run: Sequence[str],
    *,
    cwd: str | PurePath | None,
    env: Mapping[str, str] | None,
    stdin: str | None,
    ok_codes: Sequence[int],
    limits: Limits | None,
    options: Mapping[str, Any],
) -> CommandTask:
    """Check a command and return its task; raises ConfigError."""
    if isinstance(run, str) or not run or not all(isinstance(each, str) for each in run):
        raise _refusal(name, "run", run, "a list of texts: the program, then its arguments")
    env = {} if env is None else env
    if not all(isinstance(text, str) for pair in env.items() for text in pair):
        raise _refusal(name, "env", env, "texts by name")
    if not ok_codes or not all(is_whole(code, 0, 255) for code in ok_codes):
        raise _refusal(name, "ok_codes", ok_codes, "exit codes from 0 to 255")
    if stdin is not None and not str(stdin).isidentifier():
        raise _refusal(name, "stdin", stdin, "the name of a parameter")
    if limits is not None and not isinstance(limits, Limits):
        raise _refusal(name, "limits", limits, "Limits(memory_mb=..., cpu_seconds=..., ...)")
    command = Command(
        name=str(name),
        template=tuple(_parse(name, argument) for argument in run),
        cwd=None if cwd is None else str(cwd),
        env=dict(env),
        stdin=stdin,
        ok_codes=frozenset(ok_codes),
        limits=limits,
    )
    if any(part.name for part in command.template[0]):
        raise _refusal(name, "run", run[0], "a program whose name is no argument of a job")
    spec = declare(_renderer(command), name=name, **options)
    return CommandTask(replace(spec, executor="command", limits=limits), command, home)


def _parse(command: str, argument: str) -> tuple[Part, ...]:
    try:
        pieces = list(string.Formatter().parse(argument))
    except ValueError as error:
        raise ConfigError(f"command {command}: argument {show(argument)}: {error}") from None
    parts = [Part(text, name) for text, name, _, _ in pieces] or [Part("")]
    for _, name, form, conversion in pieces:
        bare = None if name is None else name.removesuffix(SPREAD)
        is_spread = name is not None and name != bare
        is_wrong = bare is not None and (not bare.isidentifier() or form or conversion)
        if is_wrong or (is_spread and parts != [Part("", name)]):
            raise _refusal(
                command,
                "run",
                argument,
                "{name} for one text, {names...} alone for several arguments, {{ and }} for braces",
            )
    return tuple(parts)


def _fill(part: Part, values: Mapping[str, Any]) -> str:
    return part.text if part.name is None else f"{part.text}{values[part.name]}"


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float | PurePath) else value


def _renderer(command: Command) -> Callable[..., list[str]]:
    """Return the function behind the task: its parameters are the placeholders."""

    def render(**values: Any) -> list[str]:
        return command.arguments(values)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter(name, kind, annotation=annotation)
        for name, annotation in command.parameters.items()
    ]
    signature = inspect.Signature(parameters, return_annotation=CommandResult)
    setattr(render, "__signature__", signature)  # noqa: B010  # functions are not known to have it
    render.__name__ = render.__qualname__ = command.name
    render.__doc__ = f"Run {command.template[0][0].text}."
    return render


def _refusal(command: object, option: str, value: object, allowed: str) -> ConfigError:
    name = show(command).strip("'")
    return ConfigError(f"command {name}: {option}={show(value)} is refused; allowed: {allowed}")
