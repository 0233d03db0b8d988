"""Names made of a job's arguments: ``user-{user_id}``.

They are checked when the task is declared and filled in when a job is enqueued.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.tasks import wire
from jobpipe.tasks.codec import show
from jobpipe.tasks.names import NAME_ALLOWED, is_name
from jobpipe.tasks.signature import Signature

TEMPLATE_ALLOWED = "text with {name} for an argument, {{ and }} for braces"


@dataclass(frozen=True, slots=True)
class Template:
    """A checked text with places for arguments."""

    option: str
    """The option of the task that it stands in, for messages."""
    text: str
    parts: tuple[tuple[str, str | None], ...]
    """Pairs of a text and the name of the argument behind it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments that it needs."""
        return tuple(name for _, name in self.parts if name is not None)

    def render(self, signature: Signature, args: str) -> str:
        """Return the name that the encoded arguments of a call make.

        A text stands for itself, any other value for its JSON text; an argument that was not
        given has its default. Raises InvalidArguments when one is missing, or when the result
        is no name.
        """
        given = wire.read(args) if self.names else {}
        if not isinstance(given, Mapping):
            raise InvalidArguments(
                f"task {signature.task}: {self.option}={show(self.text)} needs arguments by name;"
                " these go by position"
            )
        texts = [
            text if name is None else f"{text}{self._value(signature, given, name)}"
            for text, name in self.parts
        ]
        made = "".join(texts)
        if is_name(made):
            return made
        raise InvalidArguments(
            f"task {signature.task}: {self.option}={show(self.text)} becomes {show(made)}, which is"
            f" refused; allowed: {NAME_ALLOWED}"
        )

    def check_given(self, task: str, pointers: Iterable[str]) -> None:
        """Raise InvalidArguments when it needs an argument that comes with a result of another job.

        ``pointers`` are the places of such results in the arguments.
        """
        later = {pointer.split("/")[1] for pointer in pointers if pointer}
        for name in self.names:
            if name in later:
                raise InvalidArguments(
                    f"task {task}: {self.option}={show(self.text)} needs the argument {name!r},"
                    " which is known only when another job of the flow has ended",
                    help=f"Say it for this job: using({self.option}=...).",
                )

    def _value(self, signature: Signature, given: Mapping[str, Any], name: str) -> str:
        parameters = signature.python.parameters
        if name in given:
            value = given[name]
        elif name in parameters and parameters[name].default is not Parameter.empty:
            value = wire.read(wire.encode_sorted(parameters[name].default).decode())
        else:
            extra = (given.get(name_of_rest) for name_of_rest in _rest(signature))
            value = next((more[name] for more in extra if more and name in more), _MISSING)
        if value is _MISSING:
            raise InvalidArguments(
                f"task {signature.task}: {self.option}={show(self.text)} needs the argument"
                f" {name!r}, which was not given"
            )
        return value if isinstance(value, str) else wire.encode_sorted(value).decode()


def parse(option: str, text: object, signature: Signature) -> Template:
    """Check a template against the parameters of a task; raises ConfigError."""
    if not isinstance(text, str):
        raise _refusal(signature, option, text, TEMPLATE_ALLOWED)
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise _refusal(signature, option, text, f"{TEMPLATE_ALLOWED} ({error})") from None
    for _, name, form, conversion in pieces:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise _refusal(signature, option, text, TEMPLATE_ALLOWED)
        if name is not None and not (name in signature.python.parameters or _rest(signature)):
            known = ", ".join(signature.python.parameters) or "none"
            raise _refusal(signature, option, text, f"the task's parameters ({known})")
        if name is not None and not _is_plain(signature.python.parameters.get(name)):
            raise _refusal(signature, option, text, f"{name} with a default that JSON can say")
    template = Template(option, text, tuple((before, name) for before, name, _, _ in pieces))
    if not template.names and not is_name("".join(before for before, _ in template.parts)):
        raise _refusal(signature, option, text, NAME_ALLOWED)
    return template


_MISSING = object()


def _rest(signature: Signature) -> list[str]:
    """Return the parameter that takes whatever else is given by name, if there is one."""
    return [
        each.name
        for each in signature.python.parameters.values()
        if each.kind is Parameter.VAR_KEYWORD
    ]


def _is_plain(parameter: Parameter | None) -> bool:
    try:
        wire.read(wire.encode_sorted(None if parameter is None else _default(parameter)).decode())
    except Exception:  # encoding may run user code
        return False
    return True


def _default(parameter: Parameter) -> Any:
    return None if parameter.default is Parameter.empty else parameter.default


def _refusal(signature: Signature, option: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(
        f"task {signature.task}: {option}={show(value)} is refused; allowed: {allowed}"
    )
