"""The program of a child process that runs jobs for a worker, started by the worker alone.

It imports what the worker has imported: its application, or the modules that declare its tasks.
"""

from __future__ import annotations

import importlib
import multiprocessing.spawn
import socket
import sys
from io import TextIOWrapper
from types import ModuleType
from typing import Any

from jobpipe import bootstrap
from jobpipe.application import Jobpipe
from jobpipe.errors import ConfigError
from jobpipe.runtime.executors.frames import Hello
from jobpipe.runtime.executors.origin import MAIN
from jobpipe.runtime.executors.serving import Serving
from jobpipe.runtime.job_log import is_unheard
from jobpipe.runtime.options import speech_options
from jobpipe.tasks.registry import Tasks


class Stream(TextIOWrapper):
    """A standard stream, whose lines the worker adds to the job's log.

    What a handler of ``logging`` writes is left out: those lines are in the log as records.
    """

    def __init__(self, descriptor: int) -> None:
        raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115  # it lives as long as we do
        super().__init__(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)

    def write(self, text: str) -> int:
        """Write the text, unless it is a line of the log already."""
        return len(text) if is_unheard() else super().write(text)


class Loaded:
    """The application that this process has become."""

    def __init__(self, hello: Hello) -> None:
        sys.path[:] = hello.sys_path
        sys.stdout, sys.stderr = Stream(sys.stdout.fileno()), Stream(sys.stderr.fileno())
        self._modules = hello.tasks
        if hello.main_path or hello.main_module:
            _run_main(hello)
        given: dict[str, Any] = {**hello.settings}
        if hello.application is None:
            self._application = Jobpipe(**given)
        else:
            self._application = _find(hello.application).configured(**given)
        self.registry = self._application.registry
        self.retry_delays = self._application.settings.retry_delays
        self.max_payload = self._application.settings.max_payload
        self.speech = speech_options(self._application.settings)
        self.transactions = bootstrap.transactions(self._application.settings)

    def bring(self, task: str) -> None:
        """Import the module that declares the task, if it has not been yet."""
        if task in self.registry or task not in self._modules:
            return
        module = importlib.import_module(self._modules[task])
        if task not in self.registry:
            self._include(module)

    def _include(self, module: ModuleType) -> None:
        """Take over tasks that nothing has brought into an application here."""
        for value in list(vars(module).values()):
            if isinstance(value, Tasks) and value.is_free:
                self._application.include(value)


def _run_main(hello: Hello) -> None:
    """Run the program's main file as an import, as multiprocessing does."""
    if hello.main_path is not None:
        multiprocessing.spawn.prepare({"init_main_from_path": hello.main_path})
    else:
        multiprocessing.spawn.prepare({"init_main_from_name": hello.main_module})


def _find(place: str) -> Jobpipe:
    name, _, attribute = place.partition(":")
    module = sys.modules[MAIN] if name == MAIN else importlib.import_module(name)
    found = getattr(module, attribute, None)
    if isinstance(found, Jobpipe):
        return found
    raise ConfigError(f"importing {name} in a process of its own made no application {attribute}")


def main() -> None:
    """Serve the worker at the other end of the socket that is named by the argument."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    Serving(channel, Loaded).run()


if __name__ == "__main__":
    main()
