"""Tasks without any code of ours: programs in other languages claim their jobs over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.tasks.codec import encode_plain
from jobpipe.tasks.handing import emptied
from jobpipe.tasks.spec import declare
from jobpipe.tasks.task import AnyTask, Call, Home


class RemoteTask(AnyTask[..., Any]):
    """A task that programs elsewhere run: they know what arguments it takes."""

    def __call__(self, *_args: Any, **_arguments: Any) -> Any:
        """Raise ConfigError: there is nothing to call here."""
        raise ConfigError(
            f"task {self.name} has no code here",
            help="Enqueue it; a program that knows it claims the job (docs/any-language.md).",
        )

    def call(self, /, *args: Any, **kwargs: Any) -> Call[Any]:
        """Return a request to run the task with plain JSON arguments: by name, or by position."""
        if args and kwargs:
            raise InvalidArguments(
                f"task {self.name}: arguments go all by name or all by position",
                help="Nothing here knows the names of the parameters of a remote task.",
            )
        given, places = emptied(list(args) or kwargs)
        text = encode_plain("arguments", given if places else list(args) or kwargs)
        return Call(self.spec, self.signature, text, self.options, places)

    def call_by_json(self, args: Mapping[str, Any] | Sequence[Any]) -> Call[Any]:
        """Return a request with these arguments."""
        return self.call(**args) if isinstance(args, Mapping) else self.call(*args)


def declare_remote(home: Home, name: str, options: Mapping[str, Any]) -> RemoteTask:
    """Check the options and return the task; raises ConfigError."""

    def remote(**_arguments: Any) -> Any:
        """Run by programs elsewhere."""

    spec = declare(remote, name=name, **options)
    return RemoteTask(replace(spec, executor="remote"), remote, home)
